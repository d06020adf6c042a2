"""Scorer `recall`: of the windows a feature fires in, weak and strong ones alike, how many the explanation finds.

The windows are equally many from every bin of the activation range, and the score is the mean of the bins' shares, so
an explanation of the strongest firings alone does not pass. delphi's first scorer of this name asked the same of
quantiles and later became its detection. Beside them stand silent windows, as catch trials: who says yes to everything
finds everything, so the share of them called firing is the chance level that the recall is held against.

The question is that of `detection`, in the same words: only the windows and the reading differ.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from autointerp.config.asking import ScoreConfig, ScorerConfig
from autointerp.prompting.choosing import spread_over_range
from autointerp.records.evidence import Evidence
from autointerp.score.listing import ListScorer
from autointerp.score.protocol import Item, Scale, Unscorable
from autointerp.score.sampling import besides, sample_items

__all__ = ["RecallScorer", "open_scorer"]


class RecallSettings(ScorerConfig):
    """Of the scorer `recall`, which has its own way to choose firing windows."""

    uses = frozenset({"n_positive", "n_negative", "n_near_miss", "windows_per_request", "negatives"})


class RecallScorer(ListScorer):
    """Activating windows by the bin, and silent ones as catch trials."""

    scale = Scale("strata")

    def sample(
        self, evidence: Evidence, rng: np.random.Generator, *, others: Sequence[Evidence]
    ) -> tuple[Item, ...] | Unscorable:
        """`n_positive` windows, the bins taking turns, and silent ones as the settings say, shuffled. Top windows are
        left out: they would give the highest bin a say of its own."""
        drawn = besides(evidence.select("score", "bin"), evidence.select("explain"))
        positives = spread_over_range(drawn, self._settings.n_positive, rng, with_top=False)
        return sample_items(evidence, self._settings, rng, others=others, positives=positives)


def open_scorer(settings: RecallSettings, score: ScoreConfig) -> RecallScorer:
    """The scorer `recall`."""
    return RecallScorer(settings, score, prompt="detection", has_marks=False)
