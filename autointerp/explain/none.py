"""Explainer `none`: the empty text, a floor for the scores of other explainers."""

from __future__ import annotations

import numpy as np

from autointerp.config.asking import ExplainConfig
from autointerp.explain.explainer import Explainer, Reading
from autointerp.explain.prompted import WindowlessSettings
from autointerp.records.evidence import Evidence

__all__ = ["EmptyExplainer", "open_explainer"]


def open_explainer(settings: WindowlessSettings, config: ExplainConfig) -> EmptyExplainer:
    return EmptyExplainer(settings, config)


class EmptyExplainer(Explainer):
    asks = "nobody"

    @property
    def prompt_hash(self) -> str:
        return "none"

    def explain(self, evidence: Evidence, rng: np.random.Generator) -> Reading:
        return Reading("")
