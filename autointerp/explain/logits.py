"""Explainer `logits`: the tokens whose logits the feature raises and lowers most (vocabulary projection, Gur-Arieh et
al. 2025)."""

from __future__ import annotations

import numpy as np

from autointerp.config.asking import ExplainConfig
from autointerp.explain.prompted import PromptedExplainer, Shown, WindowlessSettings
from autointerp.explain.rendering import render_effects, texts_of
from autointerp.judges.tasks import ExplainTask
from autointerp.records.evidence import Evidence

__all__ = ["open_explainer"]


def open_explainer(settings: WindowlessSettings, config: ExplainConfig) -> PromptedExplainer:
    return PromptedExplainer(settings, config, prompt="logits", ask=_show_logits)


def _show_logits(evidence: Evidence, rng: np.random.Generator) -> Shown | None:
    top, bottom = evidence.top_logits, evidence.bottom_logits
    if not top and not bottom:
        return None
    task = ExplainTask((), (), top_logits=texts_of(top), bottom_logits=texts_of(bottom))
    return Shown(task, {"top_logits": render_effects(top), "bottom_logits": render_effects(bottom)})
