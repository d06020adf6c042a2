"""Leaderboard entries from other tools' results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from autointerp.board.protocol import FOREIGN, hash_protocol
from autointerp.seeds import stream
from autointerp.stats.baselines import mean_baselines
from autointerp.stats.confusion import Confusion
from autointerp.stats.intervals import Interval, mean_interval

__all__ = ["interval_over", "make_foreign_entry"]

_NOT_MEASURED = ("excess", "beyond_token", "near_miss")


def make_foreign_entry(
    *,
    tool: str,
    name: str,
    scorer: str,
    judge: str,
    metric: str,
    values: Mapping[str, Sequence[float]],
    n_sampled: int,
    counts: Sequence[Confusion] = (),
    chance: float | None = None,
    score: Interval | None = None,
    protocol: Mapping[str, Any],
    note: str,
) -> dict[str, Any]:
    """The entry with the keys of `summary.json`.

    `values` are per feature by measure, with `metric` unless `score` gives it; `counts` are the answers per feature.
    """
    marked = {FOREIGN: tool, "note": note, **protocol}
    intervals = {measure: interval_over(sample, tool, name, measure) for measure, sample in values.items()}
    heading = score or intervals.get(metric)
    sample = values.get(metric, ())
    n_scored = heading.n if heading else 0
    n_answers = sum(c.n for c in counts)
    known = {key: None if value is None else asdict(value) for key, value in intervals.items()}
    return {
        "name": name,
        "dictionary": name,
        "site": "",
        "explainer": tool,
        "scorer": f"{tool}/{scorer}",
        "judge": judge,
        "n_sampled": n_sampled,
        "n_scored": n_scored,
        "unscored": {"too_few_positives": 0, "too_few_negatives": 0, "judge": n_sampled - n_scored},
        **dict.fromkeys(("f1", "f1_lenient", "balanced_accuracy", *_NOT_MEASURED)),
        **known,
        "metric": metric,
        "score": None if heading is None else asdict(heading),
        "score_deviation": float(np.std(sample, ddof=1)) if len(sample) > 1 else None,
        "chance": chance,
        "baselines": asdict(mean_baselines((c.n_positive, c.n_negative) for c in counts if c.n)),
        "unparsed_frac": sum(c.n_lost for c in counts) / max(1, n_answers),
        "refused_frac": 0.0,
        "error_frac": 0.0,
        "usd": None,
        "prompt_hash": "",
        "protocol": marked,
        "protocol_hash": hash_protocol(marked),
    }


def interval_over(sample: Sequence[float], *names: str) -> Interval | None:
    """Mean and interval over features."""
    return mean_interval(sample, rng=stream(0, "bootstrap", "foreign", *names), bounds=(0.0, 1.0))
