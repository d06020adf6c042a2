"""Explainer `token_pairs`: every token with its strength from 0 to 10 (Bills et al. 2023)."""

from __future__ import annotations

from functools import partial

import numpy as np

from autointerp.config.asking import ExplainConfig, ExplainerConfig
from autointerp.explain.prompted import PromptedExplainer, Shown
from autointerp.explain.rendering import strongest_firing
from autointerp.explain.windows import choose_windows
from autointerp.judges.tasks import ExplainTask, ShownWindow
from autointerp.prompting.marking import quote, show
from autointerp.records.evidence import Evidence
from autointerp.stats.simulation import quantise

__all__ = ["open_explainer"]


def open_explainer(settings: ExplainerConfig, config: ExplainConfig) -> PromptedExplainer:
    return PromptedExplainer(settings, config, prompt="token_pairs", ask=partial(_show_pairs, settings))


def _show_pairs(settings: ExplainerConfig, evidence: Evidence, rng: np.random.Generator) -> Shown | None:
    windows = tuple(map(show, choose_windows(settings, evidence, rng)))
    if not windows:
        return None
    maximum = strongest_firing(evidence)
    task = ExplainTask(windows, silent_windows=(), top_logits=(), bottom_logits=())
    return Shown(task, {"windows": [_render(window, maximum) for window in windows]})


def _render(window: ShownWindow, maximum: float) -> dict[str, list[str]]:
    """The pairs, one per line, and those that fire."""
    levels = quantise(window.activations, maximum=maximum).tolist()
    pairs = [(f"{quote(token)}\t{level}", level) for token, level in zip(window.tokens, levels, strict=True) if token]
    return {"pairs": [pair for pair, _ in pairs], "firings": [pair for pair, level in pairs if level]}
