"""Published protocols as settings of a run: what `score.preset` stands for.

A preset fills in what the config leaves unsaid; what the config says itself is kept. So does what the samplers and the
negatives need of the harvest. Applying both twice changes nothing more, so a resolved config gives the same run.

No preset takes over a published flaw that makes a score mean nothing: explaining and scoring never share a document,
silent windows are verified silent unless their kind says otherwise, and a lost answer is a verdict.
"""

from __future__ import annotations

from typing import Any

from autointerp.config.asking import ExplainerEntry, Preset, ScorerEntry
from autointerp.config.tree import Config
from autointerp.prompting.samplers import NEEDS_DRAWN

__all__ = ["apply_preset"]

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
"""O'Neill et al. 2024: 10 top examples split in half. Here the halves are the 5 top windows of the explain role and
the 5 of the score role, so no document is in both. The negatives are the published ones, the tops of one other
feature, and their verdicts say so by the kind `other`; `negatives = "random"` in the config's own
`score.scorers` takes verified silent windows instead. The board is headed by macro-F1, the metric they report."""

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
"""Bills et al. 2023, as Cunningham et al. 2023 use it, too: fragments of 64 tokens; 5 of the strongest to explain, as
tokens with activations from 0 to 10; 5 others of the strongest and 5 random ones to score, by the correlation of
simulated and true activations. Here a random fragment is one without a firing; theirs may hold some. Their four splits
interleave one list of the strongest fragments; here the two halves are of different documents. Firings are where they
are found, not in fragments cut at multiples of 64 tokens."""

_DELPHI_WINDOWS: dict[str, Any] = {
    "n_positive": 50,
    "n_negative": 50,
    "n_near_miss": 0,
    "sampling": "quantile",
    "windows_per_request": 5,
}
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
"""The defaults of EleutherAI's delphi 0.1 (Paulo et al. 2024): examples of 32 tokens, 40 to explain and 50 to score
from ten quantiles of the activating examples, 50 that do not activate, 5 examples to a question, and at least 200
firings. There the examples of both sets come from one list, and a part of those scored was explained (its rule is
reproduced in tests/score/test_leak.py); here they are of different documents. Its fuzzing marks wrong tokens in
activating examples, as ours does."""

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
"""SAEBench's autointerp (Karvonen et al. 2025): 10 tokens on both sides of a firing; 10 of the strongest and 5 drawn by
importance to explain; 2, 2 and 10 random ones to score, in one question. Its score is accuracy, of which always-no
reaches 10/14; here that stands beside it (`always_no_accuracy`). Its prompt gives the number of firing examples away,
ours does not; and its second half is drawn in proportion to the activation, ours spread over the range (`mixed`), half
of 15 being 8 and 7."""

_PRESETS: dict[Preset, dict[str, dict[str, Any]]] = {
    "default": {},  # what every section says by itself
    "oneill2024": _ONEILL2024,
    "bills2023": _BILLS2023,
    "delphi": _DELPHI,
    "saebench": _SAEBENCH,
}


def apply_preset(config: Config) -> Config:
    """The config with its `score.preset` filled in, and with the windows that its samplers need kept by the harvest;
    the config itself where nothing is left to fill in."""
    if config.score.preset is not None:
        config = _filled(config, _PRESETS[config.score.preset])
    needed = _needed(config)
    unsaid = {key: n for key, n in needed.items() if n and getattr(config.harvest, key) is None}
    return config.model_copy(update={"harvest": config.harvest.model_copy(update=unsaid)}) if unsaid else config


def _needed(config: Config) -> dict[str, int]:
    """How many windows of the kinds that are only kept where somebody asks for them."""
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
