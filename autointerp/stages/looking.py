"""Scoring in looks: a share of every dictionary's features at a time, until its score is known well enough.

A hash of the seed orders the features, so a resumed run stops at the same place. Whole features are left out, never
single windows: F1 depends on the counts per feature.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from autointerp.board.metrics import bounds_of
from autointerp.board.score_table import iter_rows
from autointerp.board.scores import build_scores
from autointerp.config.asking import SequentialConfig
from autointerp.errors import ArtefactError
from autointerp.records.evidence import Evidence
from autointerp.records.evidence_book import Outlined, outlines_of, some_of
from autointerp.records.verdict import Explanation
from autointerp.score.controls import by_dictionary
from autointerp.score.scorer import Scale
from autointerp.scoring import Scoring
from autointerp.seeds import derive
from autointerp.stats.looking import Looks, SettledPair, is_narrow, settle_pairs

__all__ = ["Looked", "asked_features", "score_in_looks"]

Key = tuple[str, int]
Batch = Callable[[frozenset[Key]], Awaitable[Scoring]]
Values = dict[tuple[str, str], dict[str, list[float]]]


@dataclass(frozen=True, slots=True)
class Looked:
    """Totals without verdicts, facts for the manifest by dictionary, and settled pairs."""

    scoring: Scoring
    looks: dict[str, dict[str, Any]]
    pairs: list[dict[str, Any]] = field(default_factory=list)


async def score_in_looks(
    score: Batch,
    *,
    evidences: Sequence[Evidence],
    explanations: Iterable[Explanation],
    settings: SequentialConfig,
    scales: Mapping[str, Scale],
    seed: int,
) -> Looked:
    """Have `score` ask about each look's features of the dictionaries that go on."""
    outlines = outlines_of(evidences)
    told = {(e.dictionary, e.feature): [] for e in outlines}
    for explanation in explanations:
        told.get((explanation.dictionary, explanation.feature), []).append(explanation)
    order = {name: _order(group, seed) for name, group in by_dictionary(outlines).items()}
    n_groups = 1
    looks = _looks(settings, len(order), n_groups)
    values: Values = {}
    totals = Scoring((), (), 0, 0)
    active, place = set(order), dict.fromkeys(order, 0)
    ended: dict[str, int] = {}
    settled: dict[tuple[str, str, str, str], SettledPair] = {}
    bounds: dict[tuple[str, str], tuple[float, float]] = {}
    for look in range(1, settings.looks + 1):
        drawn: list[Key] = []
        for name in sorted(active):
            end = looks.sizes(len(order[name]))[look - 1]
            drawn += [(name, e.feature) for e in order[name][place[name] : end]]
            place[name] = end
        keys = frozenset(drawn)
        scoring = await score(keys)
        totals = _add(totals, scoring)
        batch = some_of(evidences, lambda e, keys=keys: (e.dictionary, e.feature) in keys)
        _take(values, bounds, batch, [x for key in drawn for x in told[key]], scoring, scales)
        if len(values) > n_groups:
            # the scorers and explainers of a run are known from its first look on
            n_groups = len(values)
            looks = _looks(settings, len(order), n_groups)
        critical = looks.critical_value(look)
        if settings.until == "mean":
            going = {name for name in active if not _is_known(values, bounds, name, critical, settings.half_width)}
        else:
            going = _unsettled(values, active, settled, critical=critical, half_width=settings.half_width, look=look)
        ended |= {name: look for name in active if name not in going or look == settings.looks}
        active = going
        if not active:
            break
    facts = {
        name: {
            "n_features": len(order[name]),
            "n_asked": place[name],
            "n_saved_features": len(order[name]) - place[name],
            "look": ended[name],
            # entries state the mean of each dictionary, whatever it was that was waited for
            "critical_value": replace(looks, n_claims=1).critical_value(ended[name]),
            **settings.model_dump(mode="json"),
        }
        for name in order
    }
    pairs = [{"scorer": key[1], "explainer": key[0], **asdict(pair)} for key, pair in sorted(settled.items())]
    return Looked(totals, facts, pairs)


def asked_features(
    evidences: Sequence[Evidence], looks: Mapping[str, Mapping[str, Any]], *, seed: int
) -> dict[str, frozenset[int]]:
    """The features asked about, per dictionary, from the manifest's facts.

    Raises ArtefactError where the evidence is not what was looked at.
    """
    asked = {}
    for name, group in by_dictionary(outlines_of(evidences)).items():
        if name not in looks:
            continue
        if looks[name]["n_features"] != len(group):
            raise ArtefactError(
                f"dictionary '{name}' was scored in looks at {looks[name]['n_features']} features and its evidence has "
                f"{len(group)}; score it again with --from score"
            )
        asked[name] = frozenset(e.feature for e in _order(group, seed)[: looks[name]["n_asked"]])
    return asked


def _looks(settings: SequentialConfig, n_dictionaries: int, n_groups: int) -> Looks:
    n_pairs = n_dictionaries * (n_dictionaries - 1) // 2
    n_claims = max(1, n_pairs * n_groups) if settings.until == "difference" else 1
    return Looks(settings.looks, settings.spending, n_claims)


def _order(features: Sequence[Outlined], seed: int) -> list[Outlined]:
    return sorted(features, key=lambda e: derive(seed, "looks", e.dictionary, e.feature))


def _add(totals: Scoring, scoring: Scoring) -> Scoring:
    """The counts of both; verdicts are with the recorder."""
    counted = ("n_verdicts", "n_unscored", "n_reasked", "n_requests")
    return replace(totals, **{name: getattr(totals, name) + getattr(scoring, name) for name in counted})


def _take(
    values: Values,
    bounds: dict[tuple[str, str], tuple[float, float]],
    batch: Sequence[Evidence],
    explanations: Sequence[Explanation],
    scoring: Scoring,
    scales: Mapping[str, Scale],
) -> None:
    """Add the batch's scores to `values`, by explainer and scorer, then dictionary."""
    if not scoring.verdicts:
        return
    rows = build_scores(batch, explanations, scoring.verdicts, scorers=scales, unscored=scoring.unscored)
    for row in iter_rows(rows):
        if row["score"] is not None:
            group = (row["explainer"], row["scorer"])
            values.setdefault(group, {}).setdefault(row["dictionary"], []).append(row["score"])
            bounds[group] = bounds_of(row["metric"])


def _is_known(
    values: Values, bounds: Mapping[tuple[str, str], tuple[float, float]], name: str, critical: float, half_width: float
) -> bool:
    return bool(values) and all(
        is_narrow(of.get(name, ()), critical_value=critical, bounds=bounds[group], half_width=half_width)
        for group, of in values.items()
    )


def _unsettled(
    values: Values,
    active: set[str],
    settled: dict[tuple[str, str, str, str], SettledPair],
    *,
    critical: float,
    half_width: float,
    look: int,
) -> set[str]:
    """The dictionaries with a pair that is not settled. Adds to `settled`."""
    going: set[str] = set()
    for group, of in values.items():
        known = {name: of.get(name, []) for name in active}
        for pair in settle_pairs(known, critical_value=critical, half_width=half_width, look=look):
            settled.setdefault((*group, pair.first, pair.second), pair)
        names = sorted(active)
        for i, first in enumerate(names):
            for second in names[i + 1 :]:
                if (*group, first, second) not in settled:
                    going |= {first, second}
    return going if values else set(active)
