"""Controls by explanation: features judged with another feature's, a generic or an empty explanation."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from math import log
from typing import TypeVar

from autointerp.records.evidence_book import Outlined
from autointerp.seeds import derive

__all__ = ["FIXED_TEXTS", "GENERIC", "by_dictionary", "fixed_controls", "shuffled_partners"]

# True of most features, useful for none.
GENERIC = "The feature fires on certain words and phrases, and on tokens that stand near them."

# Explanations that are the same for every feature, by control.
FIXED_TEXTS: Mapping[str, str] = {"empty": "", "generic": GENERIC}


T = TypeVar("T", bound=Outlined)


def by_dictionary(evidences: Iterable[T]) -> dict[str, list[T]]:
    """Features by dictionary name, sorted by name and feature."""
    ordered = sorted(evidences, key=lambda e: (e.dictionary, e.feature))
    return {name: list(group) for name, group in groupby(ordered, key=lambda e: e.dictionary)}


def shuffled_partners(
    evidences: Sequence[Outlined], texts: Mapping[tuple[str, int], str | None], *, seed: int, frac: float
) -> dict[tuple[str, int], int]:
    """For a share `frac` of each dictionary's features, the feature that lends its explanation.

    It has the nearest firing rate among explained features; ties go to the lower index. The draw depends on seed and
    feature only.
    """
    partners: dict[tuple[str, int], int] = {}
    for name, group in by_dictionary(evidences).items():
        able = [e for e in group if texts.get((name, e.feature)) and e.unscored is None]
        if len(able) < 2:
            continue
        lenders = _Lenders(able)
        drawn = sorted(able, key=lambda e: derive(seed, "control", "shuffled", name, e.feature))
        for evidence in drawn[: round(frac * len(able))]:
            partners[name, evidence.feature] = lenders.nearest(evidence)
    return partners


class _Lenders:
    """At least two features of one dictionary, by firing rate."""

    def __init__(self, features: Sequence[Outlined]) -> None:
        self._at: dict[float, list[int]] = {}
        for each in sorted(features, key=lambda e: e.feature):
            # the second lends to the first
            if len(at := self._at.setdefault(_log_density(each), [])) < 2:
                at.append(each.feature)
        self._rates = sorted(self._at)

    def nearest(self, borrower: Outlined) -> int:
        """The feature of the nearest rate, of several the lowest, but the borrower itself."""
        rate, best = _log_density(borrower), (float("inf"), -1)
        place = bisect_left(self._rates, rate)
        for side in (range(place, len(self._rates)), range(place - 1, -1, -1)):
            for other in map(self._rates.__getitem__, side):
                if abs(other - rate) > best[0]:
                    break
                lender = next((feature for feature in self._at[other] if feature != borrower.feature), None)
                if lender is not None:
                    best = min(best, (abs(other - rate), lender))
        return best[1]


def fixed_controls(
    evidences: Sequence[Outlined],
    texts: Mapping[tuple[str, int], str | None],
    *,
    seed: int,
    fracs: Mapping[str, float],
) -> dict[tuple[str, int], dict[str, str]]:
    """Texts of `FIXED_TEXTS` by feature and control, for a share of each dictionary's features with an explanation.

    Raises ValueError for an unknown control.
    """
    explained: dict[tuple[str, int], dict[str, str]] = {}
    for control, frac in fracs.items():
        if control not in FIXED_TEXTS:
            raise ValueError(f"no control is called '{control}'")
        for name, group in by_dictionary(evidences).items() if frac else ():
            able = [e for e in group if e.unscored is None]
            # The draw does not depend on the explanations: a shard does not have those of other shards.
            drawn = sorted(able, key=lambda e: derive(seed, "control", control, name, e.feature))
            for evidence in drawn[: round(frac * len(able))]:
                if texts.get((name, evidence.feature)):
                    explained.setdefault((name, evidence.feature), {})[control] = FIXED_TEXTS[control]
    return explained


def _log_density(evidence: Outlined) -> float:
    return log(max(evidence.density, 1e-12))
