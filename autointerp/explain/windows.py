"""Explainer `windows`: windows with marked firings and strengths, and logit effects (Bills, Bricken, O'Neill et
al.).

Version 2 of its prompt shows silent windows of the same tokens, rate and tokens of the feature beside them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from functools import partial
from typing import Any

import numpy as np

from autointerp.config.asking import ExplainConfig, ExplainerConfig
from autointerp.config.prompts import explain_changes
from autointerp.explain.prompted import PromptedExplainer, Shown
from autointerp.explain.rendering import (
    V1,
    knows_ends,
    render_rate,
    render_seen_effects,
    render_silent,
    render_token_table,
    render_tokens,
    render_window,
    strongest_firing,
    texts_of,
)
from autointerp.judges.tasks import ExplainTask
from autointerp.prompting.choosing import draw, one_per_passage, prefer_context, strongest
from autointerp.prompting.marking import show, strength
from autointerp.prompting.samplers import NEEDS_DRAWN, choose_firing
from autointerp.records.evidence import Evidence
from autointerp.records.window import Window

__all__ = ["WindowsSettings", "choose_windows", "open_explainer", "show_windows"]

N_CONTRAST = 4  # silent windows shown under version 2
STRONG_FROM = 5  # strength, of 10, of the strong windows


class WindowsSettings(ExplainerConfig):
    reasoning: bool = True
    """Whether the judge may think in writing before it explains."""


def open_explainer(settings: WindowsSettings, config: ExplainConfig) -> PromptedExplainer:
    changes = explain_changes(config.prompts)
    prompt = "windows"
    if not settings.reasoning:
        prompt, changes = ("windows", changes | {"brief"}) if changes else ("windows_brief", changes)
    return PromptedExplainer(
        settings, config, prompt=prompt, ask=partial(show_windows, settings, changes=changes), changes=changes
    )


def show_windows(
    settings: ExplainerConfig, evidence: Evidence, rng: np.random.Generator, *, changes: Collection[str] = V1
) -> Shown | None:
    """The windows and what stands beside them, or None without activating windows."""
    windows = choose_windows(settings, evidence, rng, changes=changes)
    if not windows:
        return None
    silent = _contrast(evidence, windows, rng) if "contrast" in changes else []
    top, bottom = texts_of(evidence.top_logits), texts_of(evidence.bottom_logits)
    task = ExplainTask(tuple(map(show, windows)), tuple(map(show, silent)), top_logits=top, bottom_logits=bottom)
    maximum = strongest_firing(evidence)
    is_seen = "logits" in changes
    return Shown(
        task,
        {
            "windows": [render_window(window, maximum=maximum) for window in windows],
            "groups": _groups(windows, maximum, changes),
            "silent_windows": [render_silent(window, changes=changes) for window in silent],
            "rate": render_rate(evidence) if "rate" in changes else None,
            "tokens": render_token_table(evidence) if "tokens" in changes else [],
            "knows_ends": knows_ends(evidence),
            "top_logits": render_seen_effects(evidence.top_logits) if is_seen else render_tokens(top),
            "bottom_logits": render_seen_effects(evidence.bottom_logits) if is_seen else render_tokens(bottom),
        },
    )


def choose_windows(
    settings: ExplainerConfig, evidence: Evidence, rng: np.random.Generator, *, changes: Collection[str] = V1
) -> list[Window]:
    """At most `n_windows` activating windows, strongest first."""
    sampling, n = settings.sampling, settings.n_windows
    windows: Sequence[Window] = evidence.select(
        "explain", "top", "bin", *(("drawn",) if sampling in NEEDS_DRAWN else ())
    )
    if "passages" in changes:
        windows = one_per_passage(windows)
    if "context" in changes and sampling not in ("top", "top_random"):
        windows = prefer_context(windows, n)
    bins = None if evidence.counts is None else evidence.counts.explain_bins
    return strongest(
        (chosen.window for chosen in choose_firing(sampling, windows, n, rng, bins=bins, with_top=True)), n
    )


def _groups(windows: Sequence[Window], maximum: float, changes: Collection[str]) -> list[dict[str, Any]]:
    """The windows under their titles: all, or strong and weak ones apart."""

    def group(title: str, shown: Sequence[Window]) -> dict[str, Any]:
        return {"title": title, "windows": [render_window(w, maximum=maximum, changes=changes) for w in shown]}

    if "strengths" not in changes:
        return [group("Windows", windows)]
    strong = [window for window in windows if strength(window.max_activation, maximum=maximum) >= STRONG_FROM]
    weak = windows[len(strong) :]  # they stand strongest first
    titled = ((f"Windows that fire strongly ({STRONG_FROM} to 10)", strong), ("Windows that fire weakly only", weak))
    return [group(title, shown) for title, shown in titled if shown]


def _contrast(evidence: Evidence, windows: Sequence[Window], rng: np.random.Generator) -> list[Window]:
    """Silent windows with a token the feature fires on, of varied tokens, those first that fire in `windows`."""
    near = evidence.select("explain", "near_miss")
    fired = {
        token
        for window in windows
        for token, value in zip(window.token_ids, window.activations, strict=True)
        if value > 0.0
    }
    n_before: Counter[int] = Counter()
    ranked: list[tuple[bool, int, Window]] = []
    for window in draw(near, len(near), rng):
        token = window.token_ids[window.candidate]
        ranked.append((token not in fired, n_before[token], window))
        n_before[token] += 1
    return [window for *_, window in sorted(ranked, key=lambda entry: entry[:2])[:N_CONTRAST]]
