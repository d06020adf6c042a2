"""No explanation at all: what a judge reaches from the windows alone, when it is told nothing of the feature.

The floor under every explainer's score: a scorer that an empty description passes measures something else.
"""

from __future__ import annotations

import numpy as np

from autointerp.config.asking import ExplainConfig
from autointerp.explain.prompted import WindowlessSettings
from autointerp.explain.protocol import Explainer, Reading
from autointerp.records.evidence import Evidence

__all__ = ["EmptyExplainer", "open_explainer"]


def open_explainer(settings: WindowlessSettings, config: ExplainConfig) -> EmptyExplainer:
    """The explainer `none`."""
    return EmptyExplainer(settings, config)


class EmptyExplainer(Explainer):
    """Gives every feature the empty text."""

    asks = "nobody"
    prompt_hash = "none"

    def explain(self, evidence: Evidence, rng: np.random.Generator) -> Reading:
        """The empty text."""
        return Reading("")
