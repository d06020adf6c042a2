"""Explainer `windows`: windows with marked firings and strengths, and logit effects (Bills, Bricken, O'Neill et
al.)."""

from __future__ import annotations

from functools import partial

import numpy as np

from autointerp.config.asking import ExplainConfig, ExplainerConfig
from autointerp.explain.prompted import PromptedExplainer, Shown
from autointerp.explain.rendering import render_tokens, render_window, strongest_firing, texts_of
from autointerp.judges.tasks import ExplainTask
from autointerp.prompting.choosing import strongest
from autointerp.prompting.marking import show
from autointerp.prompting.samplers import NEEDS_DRAWN, choose_firing
from autointerp.records.evidence import Evidence
from autointerp.records.window import Window

__all__ = ["WindowsSettings", "choose_windows", "open_explainer", "show_windows"]


class WindowsSettings(ExplainerConfig):
    reasoning: bool = True
    """Whether the judge may think in writing before it explains."""


def open_explainer(settings: WindowsSettings, config: ExplainConfig) -> PromptedExplainer:
    prompt = "windows" if settings.reasoning else "windows_brief"
    return PromptedExplainer(settings, config, prompt=prompt, ask=partial(show_windows, settings))


def show_windows(settings: ExplainerConfig, evidence: Evidence, rng: np.random.Generator) -> Shown | None:
    """The windows and logit effects, or None without activating windows."""
    windows = choose_windows(settings, evidence, rng)
    if not windows:
        return None
    maximum = strongest_firing(evidence)
    top, bottom = texts_of(evidence.top_logits), texts_of(evidence.bottom_logits)
    return Shown(
        ExplainTask(tuple(map(show, windows)), silent_windows=(), top_logits=top, bottom_logits=bottom),
        {
            "windows": [render_window(window, maximum=maximum) for window in windows],
            "top_logits": render_tokens(top),
            "bottom_logits": render_tokens(bottom),
        },
    )


def choose_windows(settings: ExplainerConfig, evidence: Evidence, rng: np.random.Generator) -> list[Window]:
    """At most `n_windows` activating windows, strongest first."""
    sampling, n = settings.sampling, settings.n_windows
    windows = evidence.select("explain", "top", "bin", *(("drawn",) if sampling in NEEDS_DRAWN else ()))
    bins = None if evidence.counts is None else evidence.counts.explain_bins
    return strongest(
        (chosen.window for chosen in choose_firing(sampling, windows, n, rng, bins=bins, with_top=True)), n
    )
