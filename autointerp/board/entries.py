"""Entries of the leaderboard: means over a dictionary's features, with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from math import isfinite
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from autointerp.board.level_figures import LEVEL_FIGURES
from autointerp.board.metrics import CUT, SILENT_KINDS, bounds_of, metrics_in
from autointerp.board.protocol import hash_protocol
from autointerp.board.score_row import UNSCORED
from autointerp.board.scores import ScoreGroup, iter_rows
from autointerp.runs.reply_record import Account
from autointerp.seeds import stream
from autointerp.stats.baselines import mean_baselines
from autointerp.stats.calibration import bins_of_counts, gap_of
from autointerp.stats.intervals import Interval, mean_interval
from autointerp.stats.levels import LEVELS
from autointerp.stats.prevalence import Rates, pooled_at
from autointerp.stats.sequential import repeated_interval

__all__ = ["Dead", "Quality", "build_entries"]

Row = Mapping[str, Any]

Quality = Mapping[str, float | int | str | None]
"""Figures of a dictionary on held-out activations by name: `normalised_mse`, `l0`, `loss_recovered`, ..."""

Costs = Mapping[Account, float | None]
"""US dollars by purpose; None for an unknown price."""


class Dead(NamedTuple):
    """Site and wanted features of a dictionary without a feature that fires often enough."""

    site: str
    n_wanted: int


_KEY = ("dictionary", "explainer", "scorer", "judge", "prompt_hash")

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
"""The first keys of an entry in `summary.json`; keys of later metrics follow."""


def build_entries(
    scores: pd.DataFrame,
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
    """One entry per dictionary, explainer, scorer, judge and prompt, sorted by scorer, then dictionary, as plain
    values.

    Metrics are means over scored features with intervals (`board.metrics`), None if undefined; `score` repeats the one
    named in `metric`. Excesses are over features with that control. The `_frac` keys are shares of all answers about
    firing and random windows, unscored features included. `calibration` and figures at prevalence pool all features.

    `order` is the config's order of dictionaries; others follow by name. Empty `costs` mean free, None unknown.
    `protocols` are by explainer and scorer, `looks` by judge and dictionary, whose `critical_value` widens intervals.

    `dead` dictionaries have an entry in every group, or in `groups` (with heading metrics) if no others exist.
    `density` is the firing rate of metrics that cut features (`board.level_figures`).
    """
    place = {name: position for position, name in enumerate(order)}
    tables: dict[tuple[str, ...], list[Row]] = {}
    for row in iter_rows(scores):
        tables.setdefault(tuple(row[column] for column in _KEY), []).append(row)
    headings = {ScoreGroup(*key[1:]): _only(rows, "metric") for key, rows in tables.items()} or dict(groups or {})
    tables |= {(name, *group): [] for name in dead or {} for group in headings}
    entries = []
    for key, rows in tables.items():
        dictionary, explainer, scorer, judge, prompt_hash = key
        looked = (looks or {}).get((judge, dictionary))
        critical = None if looked is None else float(looked["critical_value"])
        protocol = dict((protocols or {}).get((explainer, scorer), {}))
        metric = headings[ScoreGroup(*key[1:])]
        facts = {
            "name": dictionary,
            "dictionary": dictionary,
            "site": _only(rows, "site"),
            "metric": metric,
            "explainer": explainer,
            "scorer": scorer,
            "judge": judge,
            "prompt_hash": prompt_hash,
            "explain_judge": _only(rows, "explain_judge"),
            "explain_prompt_hash": _only(rows, "explain_prompt_hash"),
            "usd": None if costs is None else _usd(costs, dictionary, explainer, scorer),
            "protocol": protocol,
            "protocol_hash": hash_protocol(protocol) if protocol else "",
            "quality": _finite_or_none((quality or {}).get(dictionary, {})),
            "window_share": (window_shares or {}).get((dictionary, ScoreGroup(explainer, scorer, judge, prompt_hash))),
            "looks": None if looked is None else dict(looked),
            **_counts(rows),
            **_calibration(rows),
            **_intervals(rows, metric=metric, seed=seed, names=key, critical_value=critical),
            **_at_prevalence(rows, seed=seed, names=key),
            "common_density": density,
            **_by_level(rows, seed=seed, names=key),
        }
        if not rows:
            facts |= _nothing_sampled((dead or {})[dictionary], facts["unscored"])
        if origin := (origins or {}).get(dictionary):
            facts["origin"] = dict(origin)
        if site_sinks := (sinks or {}).get(dictionary):
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


def _nothing_sampled(dead: Dead, unscored: Mapping[str, int]) -> dict[str, Any]:
    """Counts for a dictionary without features."""
    return {"site": dead.site, "n_sampled": dead.n_wanted, "unscored": {**unscored, "dead": dead.n_wanted}}


def _counts(rows: Sequence[Row]) -> dict[str, Any]:
    scored = [row for row in rows if row["unscored"] is None]
    n_answers = sum(row["n_positive"] + row["n_negative"] for row in rows)
    f1, score = (np.array(_defined(rows, measure)) for measure in ("f1", "score"))
    quartiles = np.quantile(f1, [0.25, 0.5, 0.75]).tolist() if len(f1) else [None, None, None]
    return {
        "n_sampled": len(rows),
        "n_scored": len(scored),
        "unscored": {reason: sum(row["unscored"] == reason for row in rows) for reason in UNSCORED},
        "chance": _mean(_defined(rows, "chance")),
        "baselines": asdict(mean_baselines((row["n_positive"], row["n_negative"]) for row in scored)),
        **{
            f"{loss}_frac": sum(row[loss] for row in rows) / max(1, n_answers)
            for loss in ("unparsed", "refused", "error")
        },
        "f1_median": quartiles[1],
        "f1_quartiles": [quartiles[0], quartiles[2]] if len(f1) else None,
        "f1_deviation": float(np.std(f1, ddof=1)) if len(f1) > 1 else None,
        "score_deviation": float(np.std(score, ddof=1)) if len(score) > 1 else None,
    }


def _intervals(
    rows: Sequence[Row], *, metric: str, seed: int, names: tuple[str, ...], critical_value: float | None = None
) -> dict[str, Any]:
    # a heading metric that can be negative makes `score` one
    bounds = {each.name: each.bounds for each in metrics_in("entry")} | {"score": bounds_of(metric)}

    def interval(measure: str, limits: tuple[float, float]) -> dict[str, Any] | None:
        values = _defined(rows, measure)
        if critical_value is not None:
            return _plain(repeated_interval(values, critical_value=critical_value, bounds=limits))
        drawn_for = "score" if measure == metric else measure  # one number under two names has one interval
        return _plain(mean_interval(values, rng=stream(seed, "bootstrap", *names, drawn_for), bounds=limits))

    intervals = {measure: interval(measure, limits) for measure, limits in bounds.items()}
    by_kind = {kind: intervals.pop(f"specificity_{kind}") for kind in SILENT_KINDS}
    return {**intervals, "specificity": {kind: value for kind, value in by_kind.items() if value is not None}}


def _plain(interval: Interval | None) -> dict[str, Any] | None:
    return None if interval is None else asdict(interval)


def _at_prevalence(rows: Sequence[Row], *, seed: int, names: tuple[str, ...]) -> dict[str, Any]:
    known = [row for row in rows if row["precision_at_prevalence"] is not None or row["f1_at_prevalence"] is not None]
    rates = [Rates(row["prevalence"], row["population_recall"], 1 - row["specificity_random"]) for row in known]
    pooled = pooled_at(rates, rng=stream(seed, "bootstrap", *names, "prevalence")) if rates else None
    precision, f1 = pooled or (None, None)
    return {"precision_at_prevalence": _plain(precision), "f1_at_prevalence": _plain(f1)}


def _by_level(rows: Sequence[Row], *, seed: int, names: tuple[str, ...]) -> dict[str, Any]:
    cut = _defined(rows, "f1_cut")
    curve = []
    for place, level in enumerate(LEVELS):
        point: dict[str, Any] = {"level": level, "density": None}
        for name in LEVEL_FIGURES:
            known = [row for row in rows if row[f"level_{name}"] and row[f"level_{name}"][place] is not None]
            values = [row[f"level_{name}"][place] for row in known]
            rng = stream(seed, "bootstrap", *names, f"{name} at level {level}")
            point[name] = _plain(mean_interval(values, rng=rng, bounds=bounds_of(f"{name}{CUT}")))
            if name == "f1" and known:
                point["density"] = level * median(row["density"] for row in known)
        curve.append(point)
    return {
        "f1_cut_deviation": float(np.std(cut, ddof=1)) if len(cut) > 1 else None,
        "curve": [point for point in curve if point["f1"]],
    }


def _calibration(rows: Sequence[Row]) -> dict[str, Any]:
    counts = [row["calibration"] for row in rows if row["calibration"] is not None]
    curve = bins_of_counts(np.sum(counts, axis=0).tolist()) if counts else ()
    return {"calibration_error": gap_of(curve), "calibration": [asdict(each) for each in curve]}


def _defined(rows: Sequence[Row], measure: str) -> list[float]:
    return [row[measure] for row in rows if row[measure] is not None]


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _only(rows: Sequence[Row], column: str) -> str:
    """The value all rows share; several are joined."""
    return ", ".join(sorted({row[column] for row in rows if row[column] is not None}))


def _finite_or_none(quality: Quality) -> dict[str, Any]:
    return {
        name: None if isinstance(value, float) and not isfinite(value) else value for name, value in quality.items()
    }


def _usd(costs: Costs, dictionary: str, explainer: str, scorer: str) -> float | None:
    parts = [costs.get(Account(dictionary, explainer, paid_for), 0.0) for paid_for in (None, scorer)]
    return None if None in parts else float(sum(part or 0.0 for part in parts))
