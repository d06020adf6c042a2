"""Explainer `quantiles`: equally many windows of every activation bin, then silent ones (Bricken et al. 2023)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial

import numpy as np

from autointerp.config.asking import ExplainConfig, ExplainerConfig
from autointerp.config.prompts import explain_changes
from autointerp.config.section import Positive
from autointerp.explain.prompted import PromptedExplainer, Shown
from autointerp.explain.rendering import render_tokens, render_window, strongest_firing, texts_of
from autointerp.judges.tasks import ExplainTask
from autointerp.prompting.choosing import draw, spread_over_range, strongest
from autointerp.prompting.marking import show, strength
from autointerp.prompting.notation import Notation
from autointerp.records.evidence import Evidence
from autointerp.records.window import Window

__all__ = ["QuantilesSettings", "open_explainer"]


class QuantilesSettings(ExplainerConfig):
    uses = frozenset({"n_windows"})

    n_silent: Positive = 10
    """Silent windows shown beside."""


def open_explainer(settings: QuantilesSettings, config: ExplainConfig) -> PromptedExplainer:
    changes = explain_changes(config.prompts)
    return PromptedExplainer(
        settings, config, prompt="quantiles", ask=partial(_show_levels, settings, changes=changes), changes=changes
    )


def _show_levels(
    settings: QuantilesSettings, evidence: Evidence, rng: np.random.Generator, *, changes: Collection[str]
) -> Shown | None:
    windows = spread_over_range(evidence.select("explain", "top", "bin"), settings.n_windows, rng, with_top=False)
    if not windows:
        return None
    maximum = strongest_firing(evidence)
    levels = _by_level(windows)
    silent = draw(evidence.select("explain", "random"), settings.n_silent, rng)
    top, bottom = texts_of(evidence.top_logits), texts_of(evidence.bottom_logits)
    shown = tuple(show(window) for level in levels for window in level)
    return Shown(
        ExplainTask(shown, tuple(map(show, silent)), top_logits=top, bottom_logits=bottom),
        {
            "levels": [_render(level, maximum, changes) for level in levels],
            "silent_windows": [Notation.of(changes).write_window(window) for window in silent],
            "top_logits": render_tokens(top),
            "bottom_logits": render_tokens(bottom),
        },
    )


def _by_level(windows: Sequence[Window]) -> list[list[Window]]:
    """The windows of each bin, strongest first, highest bin first."""
    bins = sorted({window.bin or 0 for window in windows}, reverse=True)
    return [strongest((w for w in windows if (w.bin or 0) == level), len(windows)) for level in bins]


def _render(level: Sequence[Window], maximum: float, changes: Collection[str]) -> dict[str, object]:
    maxima = [strength(window.max_activation, maximum=maximum) for window in level]
    return {
        "strengths": f"{max(maxima)}" if min(maxima) == max(maxima) else f"{min(maxima)} to {max(maxima)}",
        "windows": [render_window(window, maximum=maximum, changes=changes) for window in level],
    }
