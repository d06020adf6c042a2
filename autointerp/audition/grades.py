"""A judge's grades under one scorer, with 95% intervals over concepts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from math import sqrt

import numpy as np
from scipy.special import ndtri

from autointerp.audition.concept import LEVEL_OF, LEVELS
from autointerp.audition.concepts import TOLD
from autointerp.audition.resampling import resampled_interval
from autointerp.audition.sitting import Answered, Bill
from autointerp.seeds import stream
from autointerp.stats.calibration import CalibrationBin, calibration_curve, calibration_error
from autointerp.stats.intervals import Interval, mean_interval
from autointerp.stats.metrics import auroc, brier

__all__ = ["Grades", "Rate", "Threshold", "grade"]

_SHARE = (0.0, 1.0)
_SIGNED = (-1.0, 1.0)
Rows = Sequence[Answered]
Values = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Rate:
    """Share right of readable answers. `n_effective`: independent windows with the same standard error."""

    value: float
    n: int
    n_effective: float


@dataclass(frozen=True, slots=True)
class Threshold:
    """Probability from which on calling a window firing gives the best balanced accuracy, over all concepts.

    `balanced_accuracy`: of each concept by the threshold fitted to the others.
    """

    value: float
    balanced_accuracy: Interval | None


@dataclass(frozen=True, slots=True)
class Grades:
    """None where undefined. See docs/judges.md, Audition.

    Told the right explanation, except `told` (balanced accuracy by explanation), `ordered` (share of concepts with
    right > wrong > foreign), `obeys` (share answered as a wrong or foreign explanation says where the feature does
    otherwise), lost answers and cost. Lost answers are wrong in `sensitivity`, `specificity` and balanced accuracy,
    left out in `fires` and `silent`.
    """

    scorer: str
    n_concepts: int
    n_windows: int
    n_requests: int
    n_verdicts: int
    sensitivity: Interval | None
    specificity: Interval | None
    balanced_accuracy: Interval | None
    auroc: Interval | None
    auroc_from: str
    calibration_error: float | None
    brier: Interval | None
    curve: tuple[CalibrationBin, ...]
    threshold: Threshold | None
    told: dict[str, Interval | None]
    ordered: Interval | None
    obeys: Interval | None
    position_bias: Interval | None
    """Share called firing in the first half of a list minus in the second, same windows."""
    by_place: tuple[float | None, ...]
    """Share called firing at each place, labels weighted alike."""
    yes_bias: Interval | None
    """Share called firing minus share firing, on 5+5."""
    balance_pull: Interval | None
    """Share called firing on 2+8 minus on 8+2, same windows."""
    even_frac: Interval | None
    """Share of 2+8 and 8+2 sheets answered half and half."""
    repeat_agreement: Interval | None
    order_agreement: Interval | None
    unparsed_frac: float
    refused_frac: float
    error_frac: float
    usd_per_1000: float | None
    tokens_per_1000: float
    fires: Rate | None
    silent: Rate | None
    levels: dict[str, Interval | None]
    """Balanced accuracy by level, right explanation."""
    families: dict[str, float | None]
    """By family, likewise."""
    concepts: dict[str, dict[str, float | None]]
    """Balanced accuracy by concept and explanation."""


def grade(answers: Iterable[Answered], bill: Bill, *, seed: int = 0) -> Grades:
    """Raises ValueError for no answers, or those of several scorers."""
    rows = list(answers)
    names = {row.scorer for row in rows}
    if len(names) != 1:
        raise ValueError(f"grades are of one scorer, not of {sorted(names) or 'none'}")
    scorer, n = names.pop(), len(rows)
    right = [row for row in rows if row.told == "right"]
    sheets = [row for row in rows if row.balance == "5+5" and row.sitting == "first"]
    by_concept = {told: _by([row for row in sheets if row.told == told], _balanced) for told in TOLD}
    probabilities = [row for row in right if row.probability is not None]
    truths, stated = _told_probabilities(probabilities)
    between = _Intervals(scorer, seed)
    sensitivity = between.hits("sensitivity", [row for row in right if row.is_firing])
    specificity = between.hits("specificity", [row for row in right if not row.is_firing])
    told = {name: between.mean(name, values) for name, values in by_concept.items()}
    return Grades(
        scorer=scorer,
        n_concepts=len({row.concept for row in rows}),
        n_windows=len({(row.feature, row.window) for row in rows}),
        n_requests=bill.n_requests,
        n_verdicts=n,
        sensitivity=sensitivity,
        specificity=specificity,
        balanced_accuracy=between.balanced(right, sensitivity, specificity),
        auroc=between.mean("auroc", _by(right, _auroc)),
        auroc_from="probabilities" if probabilities else "answers",
        calibration_error=calibration_error(truths, stated) if stated else None,
        brier=between.mean("brier", _by(probabilities, lambda own: brier(*_told_probabilities(own)))),
        curve=calibration_curve(truths, stated) if stated else (),
        threshold=between.threshold(probabilities),
        told=told,
        ordered=between.mean("ordered", _ordered(by_concept)),
        obeys=between.obeys([row for row in rows if row.says != row.is_firing]),
        position_bias=between.mean("position", _by(right, _position_gap), bounds=_SIGNED),
        by_place=_by_place(right),
        yes_bias=between.mean("yes", _by([row for row in sheets if row.told == "right"], _yes_gap), bounds=_SIGNED),
        balance_pull=between.mean("pull", _by(right, _pull), bounds=_SIGNED),
        even_frac=between.mean("even", _by([r for r in right if r.balance != "5+5"], _even)),
        repeat_agreement=between.mean("repeated", _by(right, lambda own: _agreement(own, "repeated"))),
        order_agreement=between.mean("reversed", _by(right, lambda own: _agreement(own, "reversed"))),
        unparsed_frac=sum(row.answer == "unparsed" for row in rows) / n,
        refused_frac=sum(row.answer == "refused" for row in rows) / n,
        error_frac=sum(row.answer == "error" for row in rows) / n,
        usd_per_1000=None if bill.n_unpriced else 1000 * bill.usd / n,
        tokens_per_1000=1000 * (bill.input_tokens + bill.output_tokens) / n,
        fires=_rate([row for row in right if row.is_firing and _is_read(row)]),
        silent=_rate([row for row in right if not row.is_firing and _is_read(row)]),
        levels={
            level: between.mean(f"level {level}", _by([r for r in right if LEVEL_OF[r.family] == level], _balanced))
            for level in LEVELS
        },
        families={f: _mean(_by([r for r in right if r.family == f], _balanced)) for f in _families(rows)},
        concepts={c: {t: by_concept[t].get(c) for t in TOLD} for c in dict.fromkeys(row.concept for row in rows)},
    )


class _Intervals:
    def __init__(self, scorer: str, seed: int) -> None:
        self._scorer, self._seed = scorer, seed

    def mean(self, name: str, values: Values, *, bounds: tuple[float, float] = _SHARE) -> Interval | None:
        # "marks" is part of the seed: another word would change every interval
        rng = stream(self._seed, "audition", "marks", self._scorer, name)
        return mean_interval(list(values.values()), rng=rng, bounds=bounds)

    def hits(self, name: str, rows: Rows) -> Interval | None:
        interval = self.mean(name, _by(rows, lambda own: _over_windows(own, _hit)))
        if interval is None or interval.lo < interval.hi:
            return interval
        # equal in every concept: a resample cannot show what was never seen, so over windows
        return _wilson(interval.mean, len({(row.feature, row.window) for row in rows}), n_clusters=interval.n)

    def threshold(self, rows: Rows) -> Threshold | None:
        if len({row.is_firing for row in rows}) < 2:
            return None
        concepts = dict.fromkeys(row.concept for row in rows)
        fitted = {left_out: _best_threshold([r for r in rows if r.concept != left_out]) for left_out in concepts}
        values = _by(rows, lambda own: _balanced([_called_from(row, fitted[row.concept]) for row in own]))
        return Threshold(_best_threshold(rows), self.mean("threshold", values))

    def obeys(self, rows: Rows) -> Interval | None:
        # of all concepts together: a single one often errs in one direction only
        concepts = list(dict.fromkeys(row.concept for row in rows))
        sums = np.array([_obeyed([row for row in rows if row.concept == concept]) for concept in concepts])
        rng = stream(self._seed, "audition", "marks", self._scorer, "obeys")
        return resampled_interval(sums.reshape(-1, 4), _obedience, rng=rng)

    def balanced(self, rows: Rows, sensitivity: Interval | None, specificity: Interval | None) -> Interval | None:
        interval = self.mean("balanced_accuracy", _by(rows, _balanced))
        if interval is None or interval.lo < interval.hi or sensitivity is None or specificity is None:
            return interval
        # equal in every concept, as in `hits`
        lo, hi = (sensitivity.lo + specificity.lo) / 2, (sensitivity.hi + specificity.hi) / 2
        return Interval(interval.mean, lo, hi, interval.n)


def _wilson(share: float, n: int, *, n_clusters: int) -> Interval:
    """95% interval of a share of `n` windows (Wilson 1927)."""
    z = float(ndtri(0.975))
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    reach = z / (1 + z**2 / n) * sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return Interval(share, max(0.0, min(share, middle - reach)), min(1.0, max(share, middle + reach)), n_clusters)


def _by(rows: Rows, value: Callable[[Rows], float | None]) -> dict[str, float]:
    """A figure per concept, where defined."""
    groups: dict[str, list[Answered]] = defaultdict(list)
    for row in rows:
        groups[row.concept].append(row)
    values = {concept: value(own) for concept, own in groups.items()}
    return {concept: float(figure) for concept, figure in values.items() if figure is not None}


def _mean(values: Values) -> float | None:
    return float(np.mean(list(values.values()))) if values else None


def _families(rows: Rows) -> list[str]:
    return list(dict.fromkeys(row.family for row in rows))


def _is_read(row: Answered) -> bool:
    return row.answer in ("fires", "silent")


def _hit(row: Answered) -> float:
    return float(row.answer == ("fires" if row.is_firing else "silent"))


def _called(row: Answered) -> float:
    return float(row.answer == "fires")


def _over_windows(rows: Rows, value: Callable[[Answered], float]) -> float | None:
    """A window counts once, however often it is asked about."""
    windows: dict[tuple[int, str], list[float]] = defaultdict(list)
    for row in rows:
        windows[row.feature, row.window].append(value(row))
    return float(np.mean([np.mean(values) for values in windows.values()])) if windows else None


def _balanced(rows: Rows) -> float | None:
    """Lost answers are wrong."""
    firing = _over_windows([row for row in rows if row.is_firing], _hit)
    silent = _over_windows([row for row in rows if not row.is_firing], _hit)
    return None if firing is None or silent is None else (firing + silent) / 2


def _called_from(row: Answered, threshold: float) -> Answered:
    """The answer with another threshold."""
    is_called = row.probability is not None and row.probability >= threshold
    return replace(row, answer="fires" if is_called else "silent")


def _best_threshold(rows: Rows) -> float:
    """Midway between two stated probabilities, the nearest to 0.5 of the best; 0.5 where there is none."""
    ordered = sorted((row.probability, row.is_firing) for row in rows if row.probability is not None)
    stated = np.array([probability for probability, _ in ordered])
    truths = np.array([truth for _, truth in ordered], dtype=bool)
    n_firing = int(truths.sum())
    if not 0 < n_firing < len(truths) or stated[0] == stated[-1]:
        return 0.5
    is_between = stated[:-1] < stated[1:]
    right = np.cumsum(~truths)[:-1] / (len(truths) - n_firing) - np.cumsum(truths)[:-1] / n_firing
    middles, right = ((stated[:-1] + stated[1:]) / 2)[is_between], right[is_between]
    best = middles[right >= right.max() - 1e-12]
    return float(best[np.abs(best - 0.5).argmin()])


def _told_probabilities(rows: Rows) -> tuple[list[bool], list[float]]:
    pairs = [(row.is_firing, row.probability) for row in rows if row.probability is not None]
    return [truth for truth, _ in pairs], [probability for _, probability in pairs]


def _auroc(rows: Rows) -> float | None:
    """Of mean probabilities, else shares called firing; lost answers are left out."""
    has_probabilities = any(row.probability is not None for row in rows)
    windows: dict[tuple[int, str], tuple[bool, list[float]]] = {}
    for row in rows:
        value = row.probability if has_probabilities else _called(row) if _is_read(row) else None
        if value is not None:
            windows.setdefault((row.feature, row.window), (row.is_firing, []))[1].append(value)
    truths = [truth for truth, _ in windows.values()]
    return auroc(truths, [float(np.mean(values)) for _, values in windows.values()])


def _ordered(by_concept: Mapping[str, Values]) -> dict[str, float]:
    right, wrong, foreign = (by_concept[told] for told in TOLD)
    shared = [concept for concept in right if concept in wrong and concept in foreign]
    return {concept: float(right[concept] > wrong[concept] > foreign[concept]) for concept in shared}


def _obeyed(rows: Rows) -> list[float]:
    """Windows told to fire: answered so, and all; then the same of windows told to be silent."""
    hits = [
        [row.answer == ("fires" if says else "silent") for row in rows if row.says is says] for says in (True, False)
    ]
    return [float(number) for own in hits for number in (sum(own), len(own))]


def _obedience(sums: np.ndarray) -> float | None:
    shares = [right / n for right, n in (sums[:2], sums[2:]) if n]
    return float(np.mean(shares)) if len(shares) == 2 else None


def _pairs(rows: Rows, sitting: str) -> list[tuple[Answered, Answered]]:
    """First answers and those of another sitting, both readable."""
    sheet = [row for row in rows if row.balance == "5+5" and _is_read(row)]
    first = {(row.feature, row.window): row for row in sheet if row.sitting == "first"}
    others = ((first.get((row.feature, row.window)), row) for row in sheet if row.sitting == sitting)
    return [(one, other) for one, other in others if one is not None]


def _agreement(rows: Rows, sitting: str) -> float | None:
    pairs = _pairs(rows, sitting)
    return float(np.mean([one.answer == other.answer for one, other in pairs])) if pairs else None


def _is_early(row: Answered) -> bool:
    return 2 * row.place < row.n_places


def _position_gap(rows: Rows) -> float | None:
    """Each window against itself."""
    gaps = [
        (_called(one) - _called(other)) * (1 if _is_early(one) else -1)
        for one, other in _pairs(rows, "reversed")
        if _is_early(one) != _is_early(other)
    ]
    return float(np.mean(gaps)) if gaps else None


def _by_place(rows: Rows) -> tuple[float | None, ...]:
    places = []
    for place in range(max((row.n_places for row in rows), default=0)):
        here = [row for row in rows if row.place == place and _is_read(row)]
        labels = [[_called(row) for row in here if row.is_firing is label] for label in (True, False)]
        places.append(float(np.mean([np.mean(values) for values in labels])) if all(labels) else None)
    return tuple(places)


def _yes_gap(rows: Rows) -> float | None:
    read = [row for row in rows if _is_read(row)]
    return float(np.mean([_called(row) - row.is_firing for row in read])) if read else None


def _pull(rows: Rows) -> float | None:
    """Windows on both lopsided sheets, each against itself."""
    few = {(row.feature, row.window): row for row in rows if row.balance == "2+8" and _is_read(row)}
    many = [row for row in rows if row.balance == "8+2" and _is_read(row)]
    gaps = [_called(few[row.feature, row.window]) - _called(row) for row in many if (row.feature, row.window) in few]
    return float(np.mean(gaps)) if gaps else None


def _even(rows: Rows) -> float | None:
    """Over fully readable sheets."""
    order = sorted(rows, key=lambda row: (row.feature, row.balance))
    sheets = [list(sheet) for _, sheet in groupby(order, key=lambda row: (row.feature, row.balance))]
    evens = [2 * sum(map(_called, sheet)) == len(sheet) for sheet in sheets if all(map(_is_read, sheet))]
    return float(np.mean(evens)) if evens else None


def _rate(rows: Rows) -> Rate | None:
    if not rows:
        return None
    n = len({(row.feature, row.window) for row in rows})
    values = np.array(list(_by(rows, lambda own: _over_windows(own, _hit)).values()))
    value = float(values.mean())
    spread = float(values.var(ddof=1) / len(values)) if len(values) > 1 else 0.0
    n_effective = value * (1 - value) / spread if spread > 0 else float(n)
    return Rate(value, n, float(min(n, max(1.0, n_effective))))
