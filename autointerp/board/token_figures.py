"""Figures of verdicts with a number for every token, or about windows of several strengths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from autointerp.records.token_key import named_tokens
from autointerp.records.verdict import Verdict
from autointerp.records.window import Window
from autointerp.stats.baselines import always_yes_f1
from autointerp.stats.metrics import auroc, brier, f1, precision, recall
from autointerp.stats.simulation import (
    Rows,
    absolute_deviation_explained,
    calibrated,
    correlation,
    explained_variance,
    firing_table,
    rank_correlation,
    rsquared,
    within_window_correlation,
)

__all__ = ["firing_figures", "simulation_figures", "strata_figures"]

_FIRES_FROM = 0.5  # predictions from here on are a yes: a probability, or a strength from 0 to 1


def simulation_figures(own: Sequence[Verdict], windows: Mapping[str, Window]) -> dict[str, Any]:
    """Predicted against true activations; lost answers predict silence."""
    rows = _rows(own, windows)
    in_unit = calibrated(rows)
    varies = len({value for truth, _ in rows for value in truth}) > 1
    # A prediction that never varies has no correlation; it counts as 0, as leaving it out would raise the mean.
    return {
        "correlation": _zero_if(varies, correlation(rows)),
        **_by_strength(own, windows),
        "within_window_correlation": within_window_correlation(rows),
        "rank_correlation": _zero_if(varies, rank_correlation(rows)),
        "explained_variance": explained_variance(rows),
        "rsquared": rsquared(in_unit),
        "absolute_deviation_explained": absolute_deviation_explained(in_unit),
        **_token_figures(rows),
    }


def _by_strength(own: Sequence[Verdict], windows: Mapping[str, Window]) -> dict[str, Any]:
    """Correlations over the strongest windows and over random firing ones, if both were asked about."""
    top, drawn = ([v for v in own if v.kind == kind] for kind in ("top", "drawn"))
    if not top or not drawn:
        return {}
    return {
        name: _zero_if(True, correlation(_rows(verdicts, windows)))
        for name, verdicts in (("correlation_top", top), ("correlation_random", drawn))
    }


def firing_figures(own: Sequence[Verdict], windows: Mapping[str, Window]) -> dict[str, Any]:
    """Predicted against true firings over all tokens; lost answers predict silence. Chance is calling every token
    firing."""
    rows = _rows(own, windows)
    fires = [value > 0 for truth, _ in rows for value in truth]
    said = [value for _, predicted in rows for value in predicted]
    return {
        **_token_figures(rows),
        "auroc": auroc(fires, said),
        "brier": brier(fires, said),
        "chance": always_yes_f1(sum(fires), len(fires) - sum(fires)),
    }


def strata_figures(own: Sequence[Verdict], windows: Mapping[str, Window]) -> dict[str, Any]:
    """Strict recall as the mean over bins of the activation range, and over their lower and upper halves.

    Chance is the share of silent windows called firing.
    """
    by_bin: dict[int, list[bool]] = {}
    alarms: list[bool] = []
    for verdict in own:
        window = windows.get(verdict.window)
        if not verdict.is_firing:
            alarms.append(verdict.answer == "fires")
        elif window is not None:
            by_bin.setdefault(window.bin or 0, []).append(verdict.answer == "fires")
    shares = [float(np.mean(by_bin[index])) for index in sorted(by_bin)]
    half = len(shares) // 2
    return {
        "recall": _mean(shares),
        "recall_low": _mean(shares[:half]),
        "recall_high": _mean(shares[-half:] if half else []),
        "chance": _mean(alarms),
    }


def _token_figures(rows: Rows) -> dict[str, Any]:
    table = firing_table(rows, threshold=_FIRES_FROM)
    return {"token_f1": f1(table), "token_precision": precision(table), "token_recall": recall(table)}


def _rows(own: Sequence[Verdict], windows: Mapping[str, Window]) -> list[tuple[Sequence[float], Sequence[float]]]:
    """True and predicted activations by window, one pair per piece of text."""
    rows: list[tuple[Sequence[float], Sequence[float]]] = []
    gathered: dict[str, dict[int, float]] = {}
    for verdict in own:
        window = windows.get(verdict.window)
        if window is not None:
            truth = _by_piece(window, window.activations)
            said = _by_piece(window, verdict.predictions or (0.0,) * len(window.activations))
            rows.append((list(truth.values()), list(said.values())))
        elif (named := named_tokens(verdict.window)) is not None and named[0] in windows:
            predicted = verdict.predictions or (0.0,) * len(named[1])
            gathered.setdefault(named[0], {}).update(zip(named[1], predicted, strict=True))
    for name, predictions in gathered.items():
        places = sorted(predictions)
        truth = _by_piece(windows[name], windows[name].activations)
        rows.append(([truth[place] for place in places], [predictions[place] for place in places]))
    return rows


def _by_piece(window: Window, values: Sequence[float]) -> dict[int, float]:
    """The largest value in each piece of text, by the place of its shown token."""
    # A judge sees tokens that share a character as one piece, which fires as strongly as the strongest of them.
    largest: dict[int, float] = {}
    for owner, value in zip(window.owners(), values, strict=True):
        largest[owner] = max(value, largest.get(owner, value))
    return largest


def _zero_if(varies: bool, value: float | None) -> float | None:
    return 0.0 if value is None and varies else value


def _mean(values: Sequence[float | bool]) -> float | None:
    return float(np.mean(values)) if values else None
