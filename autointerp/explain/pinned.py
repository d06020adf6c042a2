"""Explainer `pinned`: tokens that change when the feature is pinned high (Gur-Arieh et al. 2025). Needs
`harvest.pinned`."""

from __future__ import annotations

import numpy as np

from autointerp.config.asking import ExplainConfig
from autointerp.explain.prompted import PromptedExplainer, Shown, WindowlessSettings
from autointerp.explain.rendering import render_effects, texts_of
from autointerp.judges.tasks import ExplainTask
from autointerp.records.evidence import Evidence

__all__ = ["open_explainer"]


def open_explainer(settings: WindowlessSettings, config: ExplainConfig) -> PromptedExplainer:
    return PromptedExplainer(settings, config, prompt="pinned", ask=_show_change)


def _show_change(evidence: Evidence, rng: np.random.Generator) -> Shown | None:
    pinned = evidence.pinned
    if pinned is None or not (pinned.raised or pinned.lowered):
        return None
    raised, lowered = texts_of(pinned.raised), texts_of(pinned.lowered)
    values = {"raised": render_effects(pinned.raised), "lowered": render_effects(pinned.lowered)}
    return Shown(ExplainTask((), (), (), (), raised=raised, lowered=lowered), {**values, "kl": f"{pinned.kl:.2g}"})
