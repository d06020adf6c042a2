"""A claim of a paper, beside the figure measured here and the verdict its interval allows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from autointerp.stats.intervals import Difference, Interval

__all__ = ["Claim", "Verdict", "gap_of", "render_interval", "verdict_of", "verdict_of_all"]

Verdict = Literal["holds", "does not hold", "undecided", "not measured"]


@dataclass(frozen=True, slots=True)
class Claim:
    """One row of a study's table: `theirs` and `ours` as shown, ours with its 95% interval; `why` says what the verdict
    rests on, and why it is as it is here.
    """

    claim: str
    theirs: str
    ours: str
    verdict: Verdict
    why: str = ""


def verdict_of(interval: Interval | None, *, above: float | None = None, below: float | None = None) -> Verdict:
    """Whether a figure lies above or below a bound: decided only where its whole interval lies on one side.

    Raises ValueError unless exactly one bound is given.
    """
    if (above is None) == (below is None):
        raise ValueError("give one bound, above or below")
    if interval is None:
        return "not measured"
    lo, hi, bound = (interval.lo, interval.hi, above) if above is not None else (-interval.hi, -interval.lo, -below)  # type: ignore[operator]
    if lo > bound:
        return "holds"
    return "does not hold" if hi < bound else "undecided"


def verdict_of_all(verdicts: Sequence[Verdict]) -> Verdict:
    """Of a claim that makes several: it holds where all do, and does not where one does not."""
    if "does not hold" in verdicts:
        return "does not hold"
    return "holds" if all(each == "holds" for each in verdicts) else "undecided"


def gap_of(difference: Difference | None) -> Interval | None:
    """A difference as a figure of its own, of as many features as there are pairs or, unpaired, on both sides."""
    if difference is None:
        return None
    n = difference.n_first if difference.is_paired else difference.n_first + difference.n_second
    return Interval(difference.mean, difference.lo, difference.hi, n)


def render_interval(interval: Interval | None, form: str = ".2f") -> str:
    """`0.71 [0.65, 0.77], n 120`; a dash where nothing was measured."""
    if interval is None:
        return "-"
    return f"{interval.mean:{form}} [{interval.lo:{form}}, {interval.hi:{form}}], n {interval.n:,}"
