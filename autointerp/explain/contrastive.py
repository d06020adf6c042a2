"""Explainer `contrastive`: firing windows beside silent ones that hold a token the feature fires on elsewhere."""

from __future__ import annotations

from functools import partial

import numpy as np

from autointerp.config.asking import ExplainConfig, ExplainerConfig
from autointerp.config.section import Positive
from autointerp.explain.prompted import PromptedExplainer, Shown
from autointerp.explain.rendering import render_window, strongest_firing
from autointerp.explain.windows import choose_windows
from autointerp.judges.tasks import ExplainTask
from autointerp.prompting.choosing import distinct, draw
from autointerp.prompting.marking import quote, show
from autointerp.records.evidence import Evidence
from autointerp.records.window import Window

__all__ = ["ContrastiveSettings", "open_explainer"]


class ContrastiveSettings(ExplainerConfig):
    n_silent: Positive = 10
    """Silent windows shown beside, those first that hold a token the feature fires on."""


def open_explainer(settings: ContrastiveSettings, config: ExplainConfig) -> PromptedExplainer:
    return PromptedExplainer(settings, config, prompt="contrastive", ask=partial(_show_contrast, settings))


def _show_contrast(settings: ContrastiveSettings, evidence: Evidence, rng: np.random.Generator) -> Shown | None:
    windows = choose_windows(settings, evidence, rng)
    if not windows:
        return None
    maximum = strongest_firing(evidence)
    near_misses = draw(evidence.select("explain", "near_miss"), settings.n_silent, rng)
    others = draw(evidence.select("explain", "random"), settings.n_silent, rng)
    silent = distinct([*near_misses, *others])[: settings.n_silent]
    task = ExplainTask(tuple(map(show, windows)), tuple(map(show, silent)), top_logits=(), bottom_logits=())
    return Shown(
        task,
        {
            "windows": [render_window(window, maximum=maximum) for window in windows],
            "silent_windows": [_render_silent(window) for window in silent],
        },
    )


def _render_silent(window: Window) -> dict[str, str | None]:
    """The text and, of a near miss, the token that fires elsewhere."""
    start, end = window.character_span(window.candidate)
    return {
        "text": quote(window.text),
        "token": quote(window.text[start:end]) if window.kind == "near_miss" else None,
    }
