"""Where a run stands: stages, what it does now, requests, money, answers, last replies and its log."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

from autointerp.pipeline import STAGES
from autointerp.run import Run
from autointerp.runs.doing import read_doing
from autointerp.runs.journal_entries import Asked
from autointerp.runs.layout import RunLayout
from autointerp.runs.lock import is_locked
from autointerp.safe_text import safe_tree

__all__ = ["conversation", "failures", "follow", "in_short"]

_N_REPLIES, _N_FAILURES, _N_LINES = 8, 50, 30
_RATE_OVER_S = 60.0


def in_short(run: Run) -> dict[str, Any]:
    """Done stages, and whether a process works on the run."""
    layouts = _layouts(run)
    done = run.stages if run.layout.is_run() else frozenset(STAGES) if run.layout.summary.is_file() else frozenset()
    return {
        "stages": [[stage, stage in done] for stage in STAGES],
        "is_at_work": any(is_locked(layout.lock) for layout in layouts),
        "has_weights": run.layout.dictionaries.is_dir() and any(run.layout.dictionaries.glob("*/cfg.json")),
    }


def follow(run: Run) -> dict[str, Any]:
    """All of it. Raises ArtefactError for a damaged run."""
    layouts = _layouts(run)
    doing = [found for layout in layouts if is_locked(layout.lock) and (found := read_doing(layout.progress))]
    return safe_tree(
        in_short(run)
        | {"doing": doing, "max_usd": run.config.limits.max_usd if run.layout.config.is_file() else None}
        | {"journal": _journal(run), "log": [line for layout in layouts for line in _tail(layout.log)]}
    )


def conversation(run: Run, dictionary: str, feature: int) -> list[dict[str, Any]]:
    """All that was asked about a feature."""
    if not _has_journal(run):
        return []
    with run.open_journals() as view:
        return [_asked(each) for each in view.find_feature(dictionary, feature)]


def failures(run: Run) -> list[dict[str, Any]]:
    """The last attempts that failed."""
    if not _has_journal(run):
        return []
    with run.open_journals() as view:
        return safe_tree([asdict(each) for each in islice(view.iter_failures(), _N_FAILURES)])


def _journal(run: Run) -> dict[str, Any] | None:
    if not _has_journal(run):
        return None
    with run.open_journals() as view:
        totals = view.totals()
        n_recent = next(view.query("SELECT count(*) FROM replies WHERE at > ?", (time.time() - _RATE_OVER_S,)))[0]
        last = view.find_latest(_N_REPLIES)
    answers, n = totals["answers"], totals["n_verdicts"]
    shown = ("n_sent", "n_replies", "n_from_cache", "n_failed_attempts", "n_unpriced", "n_explanations", "n_verdicts")
    return {
        **{name: totals[name] for name in (*shown, "usd", "input_tokens", "output_tokens", "last_at")},
        "replies_per_s": n_recent / _RATE_OVER_S,
        "unparsed_frac": answers.get("unparsed", 0) / n if n else None,
        "refused_frac": answers.get("refused", 0) / n if n else None,
        "failures": totals["failures"],
        "last": [_asked(each) for each in last],
    }


def _asked(each: Asked) -> dict[str, Any]:
    told = asdict(each)
    return safe_tree(told | {"question": [[role, text] for role, text in told.pop("messages")]})


def _has_journal(run: Run) -> bool:
    return any(layout.journal.is_file() for layout in _layouts(run))


def _layouts(run: Run) -> Sequence[RunLayout]:
    return (run.layout, *run.layout.find_shards())


def _tail(path: Path) -> Iterable[str]:
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", errors="replace") as file:
        return [line.rstrip("\n") for line in deque(file, _N_LINES)]
