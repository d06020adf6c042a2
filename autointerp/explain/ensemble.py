"""Explainer `ensemble`: windows, logit effects and changes under pinning at once (raw ensemble of Gur-Arieh et al.
2025)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from functools import partial

import numpy as np

from autointerp.config.asking import ExplainConfig, ExplainerConfig
from autointerp.config.prompts import explain_changes
from autointerp.explain.prompted import PromptedExplainer, Shown
from autointerp.explain.rendering import knows_ends, render_effects, render_window, strongest_firing, texts_of
from autointerp.explain.windows import choose_windows
from autointerp.judges.tasks import ExplainTask
from autointerp.prompting.marking import show
from autointerp.records.evidence import Evidence

__all__ = ["open_explainer"]


def open_explainer(settings: ExplainerConfig, config: ExplainConfig) -> PromptedExplainer:
    changes = explain_changes(config.prompts)
    return PromptedExplainer(
        settings, config, prompt="ensemble", ask=partial(_show_both, settings, changes=changes), changes=changes
    )


def _show_both(
    settings: ExplainerConfig, evidence: Evidence, rng: np.random.Generator, *, changes: Collection[str]
) -> Shown | None:
    windows = choose_windows(settings, evidence, rng, changes=changes)
    if not windows:
        return None
    maximum = strongest_firing(evidence)
    raised, lowered = (evidence.pinned.raised, evidence.pinned.lowered) if evidence.pinned else ((), ())
    effects = {
        "top_logits": evidence.top_logits,
        "bottom_logits": evidence.bottom_logits,
        "raised": raised,
        "lowered": lowered,
    }
    promoted = {name: texts_of(tokens) for name, tokens in effects.items()}
    task = replace(ExplainTask(tuple(map(show, windows)), (), (), ()), **promoted)
    values = {name: render_effects(tokens) for name, tokens in effects.items()}
    shown = [render_window(window, maximum=maximum, changes=changes) for window in windows]
    return Shown(task, {**values, "windows": shown, "knows_ends": knows_ends(evidence)})
