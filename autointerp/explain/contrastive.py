"""Explainer `contrastive`: firing windows beside silent ones that hold a token the feature fires on elsewhere."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial

import numpy as np

from autointerp.config.asking import ExplainConfig, ExplainerConfig
from autointerp.config.prompts import explain_changes
from autointerp.config.section import Positive
from autointerp.explain.prompted import PromptedExplainer, Shown
from autointerp.explain.rendering import knows_ends, render_silent, render_window, strongest_firing
from autointerp.explain.windows import choose_windows
from autointerp.judges.tasks import ExplainTask
from autointerp.prompting.choosing import distinct, draw
from autointerp.prompting.marking import show
from autointerp.records.evidence import Evidence

__all__ = ["ContrastiveSettings", "open_explainer"]


class ContrastiveSettings(ExplainerConfig):
    n_silent: Positive = 10
    """Silent windows shown beside, those first that hold a token the feature fires on."""


def open_explainer(settings: ContrastiveSettings, config: ExplainConfig) -> PromptedExplainer:
    changes = explain_changes(config.prompts)
    ask = partial(_show_contrast, settings, changes=changes)
    return PromptedExplainer(settings, config, prompt="contrastive", ask=ask, changes=changes)


def _show_contrast(
    settings: ContrastiveSettings, evidence: Evidence, rng: np.random.Generator, *, changes: Collection[str]
) -> Shown | None:
    windows = choose_windows(settings, evidence, rng, changes=changes)
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
            "windows": [render_window(window, maximum=maximum, changes=changes) for window in windows],
            "silent_windows": [render_silent(window, changes=changes) for window in silent],
            "knows_ends": knows_ends(evidence),
        },
    )
