"""Published protocols as settings: the meaning of `score.preset`.

A preset never overrides the config, and applying it again changes nothing. Published flaws stay out: documents are
never shared between explaining and scoring, and a lost answer is a verdict.
"""

from __future__ import annotations

from typing import Any

from autointerp.config.asking import ExplainerEntry, Preset, ScorerEntry
from autointerp.config.tree import Config
from autointerp.prompting.samplers import NEEDS_DRAWN

__all__ = ["apply_preset"]

# O'Neill et al. 2024: 10 top examples, half to explain and half to score, here of different documents. Negatives are
# the top windows of one other feature (kind `other`), as published. Headed by their metric, macro-F1.
_ONEILL2024: dict[str, dict[str, Any]] = {
    "harvest": {"window_left": 30, "window_right": 5, "fixed_position": True, "n_top": 10, "n_logits": 10},
    "explain": {"explainers": (ExplainerEntry(name="windows", n_windows=5, sampling="top"),)},
    "score": {
        "scorers": (
            ScorerEntry(
                name="marked",
                n_positive=5,
                n_negative=5,
                n_near_miss=0,
                sampling="top",
                windows_per_request=10,
                negatives="other_feature",
                heading="macro_f1",
            ),
        )
    },
}

# Bills et al. 2023: fragments of 64 tokens, 5 top ones to explain as token-activation pairs, 5 top and 5 random ones to
# score by simulation. Here random fragments never fire, windows are centred on firings, and the halves are of different
# documents instead of interleaved.
_BILLS2023: dict[str, dict[str, Any]] = {
    "harvest": {"window_left": 32, "window_right": 31},
    "explain": {"explainers": (ExplainerEntry(name="token_pairs", n_windows=5, sampling="top"),)},
    "score": {
        "scorers": (
            ScorerEntry(
                name="simulation", n_positive=5, n_negative=5, n_near_miss=0, sampling="top", negatives="random"
            ),
        ),
    },
}

# Cunningham et al. 2023: as Bills et al., but every random fragment holds a firing (their code skips those without).
# The correlation over top, over random and over all fragments stand side by side, as they report them.
_CUNNINGHAM2023: dict[str, dict[str, Any]] = {
    **_BILLS2023,
    "score": {
        "scorers": (ScorerEntry(name="simulation", n_positive=10, n_negative=0, n_near_miss=0, sampling="top_random"),),
    },
}

_DELPHI_WINDOWS: dict[str, Any] = {
    "n_positive": 50,
    "n_negative": 50,
    "n_near_miss": 0,
    "sampling": "quantile",
    "windows_per_request": 5,
}
# Defaults of EleutherAI's delphi 0.1 (Paulo et al. 2024): 32 tokens, 40 examples to explain and 50 to score from ten
# quantiles, 50 silent ones, 5 per question, at least 200 firings. There scored examples may have been explained
# (tests/score/test_leak.py); here they may not.
_DELPHI: dict[str, dict[str, Any]] = {
    "harvest": {"window_left": 16, "window_right": 15, "n_random": 60, "min_firing": 200},
    "explain": {"explainers": (ExplainerEntry(name="windows", n_windows=40, sampling="quantile"),)},
    "score": {
        "scorers": (
            ScorerEntry(name="fuzzing", **_DELPHI_WINDOWS),
            ScorerEntry(name="detection", negatives="random", **_DELPHI_WINDOWS),
        )
    },
}

# SAEBench's autointerp (Karvonen et al. 2025): 10 tokens to either side; 10 top examples and 5 by importance to
# explain; 2, 2 and 10 random ones to score in one question. Its accuracy has an always-no line of 10/14, shown here
# (`always_no_accuracy`). Here the prompt hides the number of firing examples, and `mixed` replaces importance.
_SAEBENCH: dict[str, dict[str, Any]] = {
    "harvest": {"window_left": 10, "window_right": 10, "fixed_position": True},
    "explain": {"explainers": (ExplainerEntry(name="windows", n_windows=15, sampling="mixed"),)},
    "score": {
        "scorers": (
            ScorerEntry(
                name="detection",
                n_positive=4,
                n_negative=10,
                n_near_miss=0,
                sampling="mixed",
                windows_per_request=14,
                negatives="random",
            ),
        )
    },
}

_PRESETS: dict[Preset, dict[str, dict[str, Any]]] = {
    "default": {},  # what every section says by itself
    "oneill2024": _ONEILL2024,
    "bills2023": _BILLS2023,
    "cunningham2023": _CUNNINGHAM2023,
    "delphi": _DELPHI,
    "saebench": _SAEBENCH,
}


def apply_preset(config: Config) -> Config:
    """The config with its preset filled in, the windows its samplers need and the version of its prompts."""
    if config.score.preset is not None:
        config = _filled(config, _PRESETS[config.score.preset])
    if config.explain.prompts is None:
        version = config.score.prompts if isinstance(config.score.prompts, int) else 1
        config = config.model_copy(update={"explain": config.explain.model_copy(update={"prompts": version})})
    needed = _needed(config)
    unsaid = {key: n for key, n in needed.items() if n and getattr(config.harvest, key) is None}
    return config.model_copy(update={"harvest": config.harvest.model_copy(update=unsaid)}) if unsaid else config


def _needed(config: Config) -> dict[str, int]:
    """Counts of windows of the kinds that the harvest keeps on request only."""
    explainers, scorers = config.explain.explainers, config.score.scorers
    drawn = [e.n_windows for e in explainers if e.sampling in NEEDS_DRAWN]
    # fuzzing shows its wrong marks on firing windows, too
    drawn += [s.n_positive + s.n_negative for s in scorers if s.sampling in NEEDS_DRAWN]
    neighbours = [s.counted_negatives.neighbour for s in scorers]
    return {"n_drawn": max(drawn, default=0), "n_neighbour": max(neighbours, default=0)}


def _filled(config: Config, preset: dict[str, dict[str, Any]]) -> Config:
    sections = {}
    for name, values in preset.items():
        section = getattr(config, name)
        unsaid = {key: value for key, value in values.items() if key not in section.model_fields_set}
        sections[name] = section.model_copy(update=unsaid)
    return config.model_copy(update=sections)
