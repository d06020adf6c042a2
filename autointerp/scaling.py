"""How long a plan takes on several machines: its work divided by measured or stated rates, with their uncertainty.

Training and harvest divide by GPUs, asking by features over one process a machine, up to what the judge answers; the
report is one process. Rates are independent: a total's interval adds the stages' in squares.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import sqrt
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field, ValidationError
from scipy.special import ndtri

from autointerp.config.section import Amount, Section
from autointerp.errors import ConfigError, UnreadableFile
from autointerp.planning import Plan
from autointerp.run import Run
from autointerp.runs.journal import open_reader
from autointerp.small_files import read_text

__all__ = ["Duration", "Machines", "Rate", "Rates", "gather_rates", "measure_rates", "read_rates", "simulate"]

_N_BLOCKS = 10
_Z95 = 1.96
# time is shared with what else a machine does: no measurement is known better
_LEAST_SPREAD = 0.05


class Rate(Section):
    """What is done per second; the 95% interval reaches `spread` of it to either side."""

    value: Annotated[float, Field(gt=0.0)]
    spread: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0


class Rates(Section):
    """None where nothing is known; the stage's time is unknown then."""

    # tokens that one GPU (one machine, where there is none) reads with the subject
    subject_tokens: Rate | None = None
    # tokens on which it trains one dictionary, and which one dictionary encodes there
    trained_tokens: Rate | None = None
    encoded_tokens: Rate | None = None
    # requests that one asking process has answered where the judge is not what it waits for
    explain_requests: Rate | None = None
    score_requests: Rate | None = None
    # requests that the judge answers, whoever asks
    judge_requests: Rate | None = None
    # features that merge and report go through
    reported_features: Rate | None = None
    # until a process asks its first question
    start_s: Amount = 0.0
    usd_per_gpu_hour: Amount | None = None
    # GPUs that serve the judge, paid while it is asked
    judge_gpus: Annotated[int, Field(ge=0)] = 0


@dataclass(frozen=True, slots=True)
class Machines:
    nodes: int = 1
    # over all nodes
    gpus: int = 0


@dataclass(frozen=True, slots=True)
class Duration:
    """One stage; None where a rate it needs is not known."""

    stage: str
    seconds: float | None
    # half-width of the 95% interval
    spread_s: float | None
    # what there is most of to wait for
    bound_by: str
    usd: float | None = None


def read_rates(path: Path) -> Rates:
    """From a TOML file. Raises ConfigError for a wrong key or value."""
    try:
        return Rates.model_validate(tomllib.loads(read_text(path)))
    except (UnreadableFile, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"--rates {path}: {error}") from None
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        raise ConfigError(f"--rates {path}: {'.'.join(map(str, fault['loc']))}: {fault['msg']}") from None


def gather_rates(file: Path | None, run: Run | None, judge_rps: float | None) -> Rates:
    """What a run measured, what a file states instead, and the judge's rate, which has the file's uncertainty."""
    stated = Rates() if file is None else read_rates(file)
    found: dict[str, Any] = {} if run is None else measure_rates(run)
    found |= {name: value for name, value in stated if name in stated.model_fields_set}
    if judge_rps is not None:
        spread = stated.judge_requests.spread if stated.judge_requests else 0.0
        found["judge_requests"] = Rate(value=judge_rps, spread=spread)
    return Rates(**found)


def measure_rates(run: Run) -> dict[str, Rate]:
    """`explain_requests` and `score_requests` of one process of a run, from the times of its replies.

    The spread is that over ten stretches of the stage.
    """
    found = {}
    for stage, is_scoring in (("explain_requests", 0), ("score_requests", 1)):
        times = [_reply_times(layout.journal, is_scoring) for layout in (run.layout.find_shards() or [run.layout])]
        took_s = [seconds for each in times for seconds in _per_reply(each)]
        if took_s:
            error, mean = float(np.std(took_s, ddof=1)) / sqrt(len(took_s)), float(np.mean(took_s))
            found[stage] = Rate(value=1 / mean, spread=min(0.9, max(_LEAST_SPREAD, _Z95 * error / mean)))
    return found


def _reply_times(journal: Path, is_scoring: int) -> list[float]:
    query = (
        "SELECT at FROM replies WHERE source = 'judge' AND key IN (SELECT key FROM charges WHERE (scorer <> '') = ?) "
        "ORDER BY at"
    )
    if not journal.is_file():
        return []
    with open_reader(journal) as reader:
        return [at for (at,) in reader.iter_rows(query, (is_scoring,))]


def _per_reply(times: Sequence[float]) -> list[float]:
    """Seconds to the next reply, as means over stretches of about equally many."""
    edges = np.linspace(0, len(times) - 1, _N_BLOCKS + 1).astype(int).tolist() if len(times) > _N_BLOCKS else []
    return [(times[last] - times[first]) / (last - first) for first, last in pairwise(edges)]


def simulate(plan: Plan, rates: Rates, machines: Machines) -> list[Duration]:
    """The stages in order, and their sum as `total`."""
    n_dictionaries = len({stage.dictionary for stage in plan.stages})
    workers = max(machines.nodes, machines.gpus)
    usd_per_s = (rates.usd_per_gpu_hour or 0.0) / 3600 * machines.gpus
    stages = []
    for name, n_tokens, per_dictionary in (
        ("train", plan.dictionary_tokens if plan.training_sites else 0, rates.trained_tokens),
        ("harvest", plan.evidence_tokens * plan.assumed.evidence_passes, rates.encoded_tokens),
    ):
        parts = (n_tokens, rates.subject_tokens), (n_tokens * n_dictionaries, per_dictionary)
        stages.append(_divided(name, parts, workers, usd_per_s))
    for name, own, is_scoring in (
        ("explain", rates.explain_requests, False),
        ("score", rates.score_requests, True),
    ):
        stages.append(_asked(name, plan, own, rates, machines, is_scoring=is_scoring))
    n_features = sum(stage.n_features or 0 for stage in plan.stages if stage.scorer is not None)
    stages.append(_divided("report", ((n_features, rates.reported_features),), 1, 0.0))
    return [*stages, _total(stages)]


def _divided(stage: str, parts: Sequence[tuple[int, Rate | None]], workers: int, usd_per_s: float) -> Duration:
    """Work of several kinds, each divided evenly over the workers."""
    seconds, squares = 0.0, 0.0
    for n, rate in parts:
        if n and rate is None:
            return Duration(stage, None, None, "unknown rate")
        if rate is not None:
            took = n / rate.value / workers
            seconds, squares = seconds + took, squares + (took * rate.spread) ** 2
    return Duration(stage, seconds, sqrt(squares), f"{workers} workers", usd_per_s * seconds)


def _asked(stage: str, plan: Plan, own: Rate | None, rates: Rates, machines: Machines, *, is_scoring: bool) -> Duration:
    planned = [each for each in plan.stages if (each.scorer is not None) == is_scoring]
    n_all, n_answered, n_features = (_sum(planned, column) for column in ("n_requests", "n_answered", "n_features"))
    usd = None if rates.judge_gpus else _sum(planned, "usd")
    if n_all is None or n_features is None:
        return Duration(stage, None, None, "unknown number of features", usd)
    n_requests = n_all - (n_answered or 0)
    limits = []
    if own is not None:
        share = _largest_share(int(n_features), machines.nodes)
        limits.append((share * n_requests / own.value, own.spread, f"{machines.nodes} asking processes"))
    if rates.judge_requests is not None:
        limits.append((n_requests / rates.judge_requests.value, rates.judge_requests.spread, "the judge"))
    if not limits:
        return Duration(stage, None, None, "unknown rate", usd)
    seconds, spread, bound_by = max(limits)
    seconds_all = seconds + rates.start_s
    if rates.judge_gpus:
        usd = (rates.usd_per_gpu_hour or 0.0) / 3600 * rates.judge_gpus * seconds_all
    return Duration(stage, seconds_all, seconds * spread, bound_by, usd)


def _largest_share(n_features: int, n_shards: int) -> float:
    """Of the features, that of the largest shard: shards are drawn by hash, and the last to end ends the stage.

    The largest of normal deviations is about the quantile of Blom (1958).
    """
    if n_shards == 1 or not n_features:
        return 1.0
    mean = 1 / n_shards
    deviation = sqrt(mean * (1 - mean) / n_features)
    return mean + float(ndtri((n_shards - 0.375) / (n_shards + 0.25))) * deviation


def _sum(stages: Sequence[Any], column: str) -> float | None:
    values = [getattr(stage, column) for stage in stages]
    return None if None in values else sum(values)


def _total(stages: Sequence[Duration]) -> Duration:
    seconds, usd = (_sum(stages, column) for column in ("seconds", "usd"))
    known = [stage for stage in stages if stage.seconds is not None and stage.spread_s is not None]
    longest = max(known, key=lambda stage: stage.seconds or 0.0, default=None)
    spread_s = None if seconds is None else sqrt(sum((stage.spread_s or 0.0) ** 2 for stage in known))
    return Duration("total", seconds, spread_s, "" if longest is None else f"most: {longest.stage}", usd)
