"""Ending a stage without asking: requests without an answer count as failed."""

from __future__ import annotations

from contextlib import nullcontext

from autointerp.batch.collecting import Collector
from autointerp.batch.judging import open_batch_judge
from autointerp.batch.rehearsing import run_stage
from autointerp.batch.state import load_state
from autointerp.config.tree import Config
from autointerp.errors import ConfigError
from autointerp.judges.judge import Request
from autointerp.progress import Progress, SilentProgress
from autointerp.runs.digests import finish_stage
from autointerp.runs.journal import open_journal
from autointerp.runs.layout import RunLayout
from autointerp.runs.lock import RunLock
from autointerp.runs.manifest import open_run
from autointerp.runs.reply_cache import open_reply_cache

__all__ = ["close_stage"]


def close_stage(config: Config, layout: RunLayout, stage: str, *, progress: Progress | None = None) -> int:
    """Number of unanswered requests after finishing `stage`.

    Raises ConfigError while its batches are under way, or without any answer.
    """
    n_missing = 0

    def count(key: str, request: Request) -> None:
        nonlocal n_missing
        n_missing += 1

    with RunLock(layout.lock), open_batch_judge(config, layout, stage) as judge:
        if any(round_.stage == stage for round_, _ in load_state(layout).live()):
            raise ConfigError(
                f"batches of {layout.root} are under way; run batch submit to take in their results first"
            )
        place = config.limits.cache and config.limits.cache / "replies.sqlite"
        shared = open_reply_cache(place) if config.limits.reuse else nullcontext(None)
        with open_journal(layout.journal) as journal, shared as cache:
            if journal.totals().n_replies == 0:
                raise ConfigError(f"nothing of {layout.root} is answered yet; import results first")
            collector = Collector(judge.capabilities, journal=journal, cache=cache, emit=count)
            facts = run_stage(
                config, layout, stage, client=collector, recorder=journal, progress=progress or SilentProgress()
            )
        names = [entry.name for entry in config.every_dictionary]
        manifest, facts = open_run(layout, config), {**facts, "n_unanswered": n_missing}
        finish_stage(manifest, layout, stage, facts, dictionaries=names)
    return n_missing
