"""Scorer `recall`: mean recall over bins of the activation range, for weak and strong firings alike.

Chance is the share of silent windows called firing. The question is that of `detection`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from autointerp.config.asking import ScoreConfig, ScorerConfig
from autointerp.prompting.choosing import spread_over_range
from autointerp.records.evidence import Evidence
from autointerp.score.listing import ListScorer
from autointerp.score.sampling import besides, sample_items
from autointerp.score.scorer import Item, Scale, Unscorable

__all__ = ["RecallScorer", "open_scorer"]


class RecallSettings(ScorerConfig):
    uses = frozenset({"n_positive", "n_negative", "n_near_miss", "windows_per_request", "negatives"})


class RecallScorer(ListScorer):
    """Activating windows by bin, and silent catch trials."""

    @property
    def scale(self) -> Scale:
        return Scale("strata")

    def sample(
        self, evidence: Evidence, rng: np.random.Generator, *, others: Sequence[Evidence]
    ) -> tuple[Item, ...] | Unscorable:
        """`n_positive` windows, the bins in turn, and silent ones by the settings, shuffled."""
        # Top windows would give the highest bin more than its share.
        drawn = besides(evidence.select("score", "bin"), evidence.select("explain"))
        positives = spread_over_range(drawn, self._settings.n_positive, rng, with_top=False)
        return sample_items(evidence, self._settings, rng, others=others, positives=positives)


def open_scorer(settings: RecallSettings, score: ScoreConfig) -> RecallScorer:
    return RecallScorer(settings, score, prompt="detection", has_marks=False)
