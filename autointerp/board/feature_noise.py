"""Uncertainty of one feature's F1, and its part in the spread over features, by resampling documents
(`stats.hierarchy`)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from autointerp.board.score_table import ScoreGroup
from autointerp.records.evidence import Evidence
from autointerp.records.verdict import Verdict
from autointerp.seeds import stream
from autointerp.stats.confusion import confusion_of
from autointerp.stats.hierarchy import NoiseShares, feature_interval
from autointerp.stats.intervals import Interval

__all__ = ["WindowShares", "f1_interval"]

_N_RESAMPLES = 1000
_N_SHARE_RESAMPLES = 100


def f1_interval(evidence: Evidence, verdicts: Sequence[Verdict], *, scorer: str) -> Interval | None:
    """Strict F1 of a feature with an interval over its documents; None without verdicts."""
    repeats = _by_document(evidence, verdicts)
    rng = stream(0, "documents", evidence.dictionary, evidence.feature, scorer)
    return feature_interval(repeats, metric=_f1, rng=rng, bounds=(0.0, 1.0), n_resamples=_N_RESAMPLES)


class WindowShares:
    """Share of the variance of F1 over features due to the drawn windows and the judge, by dictionary and group.

    Features of a dictionary are added in ascending order.
    """

    def __init__(self) -> None:
        self._shares: dict[tuple[str, ScoreGroup], NoiseShares] = {}

    def add(self, evidence: Evidence, group: ScoreGroup, verdicts: Sequence[Verdict]) -> None:
        key = (evidence.dictionary, group)
        if key not in self._shares:
            rng = stream(0, "shares", evidence.dictionary, *group)
            self._shares[key] = NoiseShares(metric=_f1, rng=rng, n_resamples=_N_SHARE_RESAMPLES)
        self._shares[key].add(_by_document(evidence, verdicts))

    def find(self) -> dict[tuple[str, ScoreGroup], float]:
        found = {key: shares.find() for key, shares in self._shares.items()}
        return {key: shares["documents"] for key, shares in found.items() if shares is not None}


def _by_document(evidence: Evidence, verdicts: Sequence[Verdict]) -> list[list[np.ndarray]]:
    """Counts of strict answers per document, without near misses and controls."""
    documents = {window.id: window.document for window in evidence.select("score")}
    groups: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        if verdict.control is None and verdict.kind != "near_miss":
            # another feature's window has no document here: it stands for itself
            groups.setdefault(documents.get(verdict.window, verdict.window), []).append(verdict)
    return [[np.array(confusion_of(groups[name]).strict())] for name in sorted(groups)]


def _f1(counts: np.ndarray) -> np.ndarray:
    """[n, 4] counts to [n] F1; NaN if nothing fires and nothing is called firing."""
    below = 2 * counts[:, 0] + counts[:, 1] + counts[:, 2]
    return np.divide(2 * counts[:, 0], below, out=np.full(len(counts), np.nan), where=below > 0)
