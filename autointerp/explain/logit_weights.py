"""Explainer `logit_weights`: which next tokens the feature promotes (Bricken et al. 2023)."""

from __future__ import annotations

import numpy as np

from autointerp.config.asking import ExplainConfig
from autointerp.explain.prompted import PromptedExplainer, Shown, WindowlessSettings
from autointerp.explain.rendering import render_effects, texts_of
from autointerp.judges.tasks import ExplainTask
from autointerp.records.evidence import Evidence

__all__ = ["open_explainer"]


def open_explainer(settings: WindowlessSettings, config: ExplainConfig) -> PromptedExplainer:
    return PromptedExplainer(settings, config, prompt="logit_weights", ask=_show_weights, tells="output")


def _show_weights(evidence: Evidence, rng: np.random.Generator) -> Shown | None:
    top, bottom = evidence.top_logits, evidence.bottom_logits
    if not top and not bottom:
        return None
    task = ExplainTask((), (), top_logits=texts_of(top), bottom_logits=texts_of(bottom))
    return Shown(task, {"top_logits": render_effects(top), "bottom_logits": render_effects(bottom)})
