"""Explains without a language model: the n-grams and contexts on which a feature fires (Foote et al. 2023).

Neuron2Graph's idea. A pattern is learnt from all windows of the role `explain`, the silent ones as counter-examples,
and written in the language of `judges.pattern_language`: tokens, what has to stand before them, and the strength to
expect there. So it predicts activations, costs nothing, and reaches as far as tokens and short contexts do. The judge
`pattern` given to another explainer learns from the windows which that one shows; this explainer learns from all of
them and can be scored by any judge.
"""

from __future__ import annotations

import hashlib

import numpy as np

from autointerp.config.asking import ExplainConfig
from autointerp.explain.prompted import WindowlessSettings
from autointerp.explain.protocol import Explainer, Reading
from autointerp.judges.offline.pattern import ALGORITHM
from autointerp.judges.offline.pattern_language import render_pattern
from autointerp.judges.offline.pattern_learning import learn_pattern
from autointerp.judges.tasks import ExplainTask
from autointerp.prompting.choosing import distinct
from autointerp.prompting.marking import show
from autointerp.records.evidence import Evidence

__all__ = ["PatternExplainer", "open_explainer"]


def open_explainer(settings: WindowlessSettings, config: ExplainConfig) -> PatternExplainer:
    """The explainer `pattern`."""
    return PatternExplainer(settings, config)


class PatternExplainer(Explainer):
    """Explains by a learnt pattern; the result depends on the windows alone."""

    asks = "nobody"
    tells = "firing"
    prompt_hash = hashlib.sha256(f"pattern {ALGORITHM}".encode()).hexdigest()[:16]

    def explain(self, evidence: Evidence, rng: np.random.Generator) -> Reading:
        """The pattern, `missing` where nothing fires in the windows."""
        firing = tuple(map(show, distinct(evidence.select("explain", "top", "bin"))))
        silent = tuple(map(show, distinct(evidence.select("explain", "near_miss", "random"))))
        elements = learn_pattern(ExplainTask(firing, silent, top_logits=(), bottom_logits=()))
        return Reading(render_pattern(elements)) if elements else Reading(None, "missing")
