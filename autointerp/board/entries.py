"""Entries of the leaderboard: means over a dictionary's features, with intervals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from itertools import compress, product
from math import isfinite
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from autointerp.board.level_figures import LEVEL_FIGURES
from autointerp.board.metrics import CUT, SILENT_KINDS, bounds_of, metrics_in
from autointerp.board.protocol import hash_protocol
from autointerp.board.score_row import UNSCORED
from autointerp.board.score_table import ScoreGroup, ScoreRows, ScoreTable
from autointerp.board.seed_figures import Quality, SeededRows, mean_quality, seed_mean
from autointerp.config.dictionary_name import entry_of, seed_of
from autointerp.runs.reply_record import Account
from autointerp.seeds import stream
from autointerp.stats.baselines import mean_baselines
from autointerp.stats.calibration import bins_of_counts, gap_of
from autointerp.stats.intervals import Interval, mean_intervals
from autointerp.stats.levels import LEVELS
from autointerp.stats.prevalence import Rates, pooled_at, pooled_values
from autointerp.stats.seed_effect import SeedMean
from autointerp.stats.sequential import repeated_interval

__all__ = ["Dead", "Quality", "build_entries"]

Costs = Mapping[Account, float | None]
"""US dollars by purpose; None for an unknown price."""


class Dead(NamedTuple):
    """Site and wanted features of a dictionary without a feature that fires often enough."""

    site: str
    n_wanted: int


# The first keys of an entry in `summary.json`; keys of later metrics follow.
# fmt: off
_ORDER = (
    "name", "dictionary", "site", "explainer", "scorer", "judge", "n_sampled", "n_scored", "unscored", "f1",
    "f1_lenient", "balanced_accuracy", "excess", "beyond_token", "near_miss", "baselines", "unparsed_frac",
    "refused_frac", "error_frac", "usd", "prompt_hash", "explain_judge", "explain_prompt_hash", "metric", "score",
    "chance", "precision", "recall", "accuracy", "correlation", "within_window_correlation", "rank_correlation",
    "explained_variance", "recall_low", "recall_high", "token_f1", "token_precision", "token_recall",
    "calibration_error", "calibration", "empty_excess", "generic_excess", "prevalence", "population_recall",
    "precision_at_prevalence", "f1_at_prevalence", "specificity", "matthews", "kappa", "auroc", "brier",
    "lookup_balanced_accuracy", "shuffled_balanced_accuracy", "f1_median", "f1_quartiles", "f1_deviation",
    "score_deviation", "window_share", "protocol", "protocol_hash", "looks", "quality",
)
# fmt: on


def build_entries(
    scores: ScoreTable | pd.DataFrame,
    *,
    seed: int,
    costs: Costs | None = None,
    quality: Mapping[str, Quality] | None = None,
    order: Sequence[str] = (),
    protocols: Mapping[tuple[str, str], Mapping[str, Any]] | None = None,
    looks: Mapping[tuple[str, str], Mapping[str, Any]] | None = None,
    window_shares: Mapping[tuple[str, ScoreGroup], float] | None = None,
    origins: Mapping[str, Mapping[str, Any]] | None = None,
    sinks: Mapping[str, Mapping[str, Any]] | None = None,
    dead: Mapping[str, Dead] | None = None,
    groups: Mapping[ScoreGroup, str] | None = None,
    density: float | None = None,
) -> list[dict[str, Any]]:
    """One entry per entry of the config, explainer, scorer, judge and prompt, sorted by scorer, then entry, as plain
    values.

    Metrics are means over scored features with intervals (`board.metrics`), None if undefined. `order` is the config's
    order. Empty `costs` mean free, None unknown. `protocols` are by explainer and scorer, `looks` by judge and
    dictionary. `dead` dictionaries have an entry in every group, or in `groups` (with heading metrics) if no others
    exist. `density` is the firing rate of `board.level_figures`. Seeds of an entry are pooled (`stats.seed_effect`).
    One entry's rows are held at a time.
    """
    place = {name: position for position, name in enumerate(order)}
    table = ScoreTable(scores) if isinstance(scores, pd.DataFrame) else scores
    alive: dict[tuple[str, ScoreGroup], set[str]] = {}
    for name, group in table.groups():
        alive.setdefault((entry_of(name), group), set()).add(name)
    wanted = dict.fromkeys(group for _, group in alive) or dict(groups or {})
    for name in dead or {}:
        for group in wanted:
            alive.setdefault((entry_of(name), group), set())
    headings: dict[ScoreGroup, str] = {}
    entries = []
    for (entry, group), names in alive.items():
        explainer, scorer, judge, prompt_hash = group
        key = (entry, *group)
        rows = table.rows(names, group)
        dead_seeds = {name: found for name, found in (dead or {}).items() if entry_of(name) == entry}
        dictionaries = sorted(names | dead_seeds.keys(), key=seed_of)
        looked = (looks or {}).get((judge, entry))
        critical = None if looked is None else float(looked["critical_value"])
        protocol = dict((protocols or {}).get((explainer, scorer), {}))
        # a dictionary without rows has the metric of those that have some
        metric = headings.setdefault(group, _only(rows, "metric") or (groups or {}).get(group, ""))
        seeded = SeededRows(dictionaries, rows)
        facts = {
            "name": entry,
            "dictionary": entry,
            "site": _only(rows, "site"),
            "metric": metric,
            "explainer": explainer,
            "scorer": scorer,
            "judge": judge,
            "prompt_hash": prompt_hash,
            "explain_judge": _only(rows, "explain_judge"),
            "explain_prompt_hash": _only(rows, "explain_prompt_hash"),
            "usd": None if costs is None else _usd(costs, dictionaries, explainer, scorer),
            "protocol": protocol,
            "protocol_hash": hash_protocol(protocol) if protocol else "",
            "quality": _finite_or_none(mean_quality([(quality or {}).get(name, {}) for name in dictionaries])),
            "looks": None if looked is None else dict(looked),
            **_counts(rows),
            **_calibration(rows),
            **_intervals(seeded, metric=metric, seed=seed, names=key, critical_value=critical),
            **_at_prevalence(seeded, seed=seed, names=key),
            "common_density": density,
            **_by_level(seeded, seed=seed, names=key),
            **seeded.shares(group, window_shares or {}, metric=metric),
            **seeded.by_seed(tuple(_measures(metric))),
        }
        if dead_seeds:
            facts |= _nothing_sampled(dead_seeds.values(), facts)
        if origin := (origins or {}).get(entry):
            facts["origin"] = dict(origin)
        if site_sinks := (sinks or {}).get(entry):
            facts["sinks"] = dict(site_sinks)
        entries.append({name: facts[name] for name in (*_ORDER, *(name for name in facts if name not in _ORDER))})
    return sorted(
        entries,
        key=lambda entry: (
            *(entry[name] for name in ("scorer", "explainer", "judge", "prompt_hash")),
            place.get(entry["dictionary"], len(place)),
            entry["dictionary"],
        ),
    )


def _nothing_sampled(dead: Iterable[Dead], facts: Mapping[str, Any]) -> dict[str, Any]:
    n_wanted, site = sum(each.n_wanted for each in dead), ", ".join(sorted({each.site for each in dead}))
    return {
        "site": facts["site"] or site,
        "n_sampled": facts["n_sampled"] + n_wanted,
        "unscored": {**facts["unscored"], "dead": n_wanted},
    }


def _counts(rows: ScoreRows) -> dict[str, Any]:
    reasons, labels = rows["unscored"], list(zip(rows["n_positive"], rows["n_negative"], strict=True))
    n_answers = sum(map(sum, labels))
    f1, score = (np.array(rows.defined(measure)) for measure in ("f1", "score"))
    quartiles = np.quantile(f1, [0.25, 0.5, 0.75]).tolist() if len(f1) else [None, None, None]
    return {
        "n_sampled": len(rows),
        "n_scored": reasons.count(None),
        "unscored": {reason: reasons.count(reason) for reason in UNSCORED},
        "chance": _mean(rows.defined("chance")),
        "baselines": asdict(mean_baselines(n for n, reason in zip(labels, reasons, strict=True) if reason is None)),
        **{f"{loss}_frac": sum(rows[loss]) / max(1, n_answers) for loss in ("unparsed", "refused", "error")},
        "f1_median": quartiles[1],
        "f1_quartiles": [quartiles[0], quartiles[2]] if len(f1) else None,
        "f1_deviation": float(np.std(f1, ddof=1)) if len(f1) > 1 else None,
        "score_deviation": float(np.std(score, ddof=1)) if len(score) > 1 else None,
    }


def _measures(metric: str) -> dict[str, tuple[float, float]]:
    """Metrics of an entry with their bounds."""
    # A heading metric that can be negative makes `score` one.
    return {each.name: each.bounds for each in metrics_in("entry")} | {"score": bounds_of(metric)}


def _intervals(
    seeded: SeededRows, *, metric: str, seed: int, names: tuple[str, ...], critical_value: float | None = None
) -> dict[str, Any]:
    measures = _measures(metric)
    values = {measure: seeded.rows.defined(measure) for measure in measures}
    if critical_value is None:
        # one number under two names has one interval
        rngs = [stream(seed, "bootstrap", *names, "score" if measure == metric else measure) for measure in measures]
        found = mean_intervals(list(zip(values.values(), rngs, measures.values(), strict=True)))
        wide = (
            seeded.widen(each, seed_mean(lambda rows, measure=measure: rows[measure]), limits)
            for each, (measure, limits) in zip(found, measures.items(), strict=True)
        )
    else:
        wide = (
            repeated_interval(values[measure], critical_value=critical_value, bounds=limits)
            for measure, limits in measures.items()
        )
    intervals = dict(zip(measures, map(_plain, wide), strict=True))
    by_kind = {kind: intervals.pop(f"specificity_{kind}") for kind in SILENT_KINDS}
    return {**intervals, "specificity": {kind: value for kind, value in by_kind.items() if value is not None}}


def _plain(interval: Interval | None) -> dict[str, Any] | None:
    return None if interval is None else asdict(interval)


def _at_prevalence(seeded: SeededRows, *, seed: int, names: tuple[str, ...]) -> dict[str, Any]:
    pooled = pooled_at(_rates(seeded.rows), rng=stream(seed, "bootstrap", *names, "prevalence"))
    figures: dict[str, Any] = {}
    for place, name in enumerate(("precision_at_prevalence", "f1_at_prevalence")):

        def mean(rows: ScoreRows, place: int = place) -> SeedMean:
            rates = _rates(rows)
            own = pooled_values(rates)
            return SeedMean(own[place], len(rates)) if own else SeedMean(0.0, 0)

        figures[name] = _plain(seeded.widen(pooled[place] if pooled else None, mean, (0.0, 1.0)))
    return figures


def _rates(rows: ScoreRows) -> list[Rates]:
    pooled = zip(rows["precision_at_prevalence"], rows["f1_at_prevalence"], strict=True)
    known = [precision is not None or f1 is not None for precision, f1 in pooled]
    rates = zip(rows["prevalence"], rows["population_recall"], rows["specificity_random"], strict=True)
    return [Rates(at, recall, 1 - right) for at, recall, right in compress(rates, known)]


def _by_level(seeded: SeededRows, *, seed: int, names: tuple[str, ...]) -> dict[str, Any]:
    cut = seeded.rows.defined("f1_cut")
    places = list(product(range(len(LEVELS)), LEVEL_FIGURES))

    def at_level(rows: ScoreRows, place: int, name: str) -> list[float | None]:
        return [curve[place] if curve else None for curve in rows[f"level_{name}"]]

    values = [[value for value in at_level(seeded.rows, *each) if value is not None] for each in places]
    rngs = [stream(seed, "bootstrap", *names, f"{name} at level {LEVELS[place]}") for place, name in places]
    limits = [bounds_of(f"{name}{CUT}") for _, name in places]
    found = mean_intervals(list(zip(values, rngs, limits, strict=True)))
    curve: list[dict[str, Any]] = [{"level": level, "density": None} for level in LEVELS]
    for (place, name), interval, bounds in zip(places, found, limits, strict=True):
        mean = seed_mean(partial(at_level, place=place, name=name))
        curve[place][name] = _plain(seeded.widen(interval, mean, bounds))
    for place, point in enumerate(curve):
        known = [value is not None for value in at_level(seeded.rows, place, "f1")]
        if any(known):
            point["density"] = LEVELS[place] * median(compress(seeded.rows["density"], known))
    return {
        "f1_cut_deviation": float(np.std(cut, ddof=1)) if len(cut) > 1 else None,
        "curve": [point for point in curve if point["f1"]],
    }


def _calibration(rows: ScoreRows) -> dict[str, Any]:
    counts = rows.defined("calibration")
    curve = bins_of_counts(np.sum(counts, axis=0).tolist()) if counts else ()
    return {"calibration_error": gap_of(curve), "calibration": [asdict(each) for each in curve]}


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _only(rows: ScoreRows, column: str) -> str:
    return ", ".join(sorted(set(rows.defined(column))))


def _finite_or_none(quality: Quality) -> dict[str, Any]:
    return {
        name: None if isinstance(value, float) and not isfinite(value) else value for name, value in quality.items()
    }


def _usd(costs: Costs, dictionaries: Sequence[str], explainer: str, scorer: str) -> float | None:
    parts = [costs.get(Account(name, explainer, paid_for), 0.0) for name in dictionaries for paid_for in (None, scorer)]
    return None if None in parts else float(sum(part or 0.0 for part in parts))
