"""Explainer `pattern`: n-grams and contexts a feature fires on, without a language model (Neuron2Graph, Foote et al.
2023).

Learnt from all `explain` windows, silent ones as counter-examples.
"""

from __future__ import annotations

import hashlib

import numpy as np

from autointerp.config.asking import ExplainConfig
from autointerp.explain.counting import with_counts
from autointerp.explain.explainer import Explainer, Reading
from autointerp.explain.prompted import WindowlessSettings
from autointerp.judges.offline.pattern import ALGORITHM
from autointerp.judges.offline.pattern_learning import learn_pattern
from autointerp.judges.tasks import ExplainTask
from autointerp.prompting.choosing import distinct
from autointerp.prompting.marking import show
from autointerp.records.evidence import Evidence

__all__ = ["PatternExplainer", "open_explainer"]


def open_explainer(settings: WindowlessSettings, config: ExplainConfig) -> PatternExplainer:
    return PatternExplainer(settings, config)


class PatternExplainer(Explainer):
    asks = "nobody"
    tells = "firing"

    @property
    def prompt_hash(self) -> str:
        return hashlib.sha256(f"pattern {ALGORITHM}".encode()).hexdigest()[:16]

    def explain(self, evidence: Evidence, rng: np.random.Generator) -> Reading:
        """The pattern, or `missing` if no window fires."""
        firing = tuple(map(show, distinct(evidence.select("explain", "top", "bin"))))
        silent = tuple(map(show, distinct(evidence.select("explain", "near_miss"))))
        pattern = learn_pattern(with_counts(ExplainTask(firing, silent, top_logits=(), bottom_logits=()), evidence))
        return Reading(None, "missing") if pattern is None else Reading(pattern.render())
