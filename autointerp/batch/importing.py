"""Batch results as replies and failed attempts in the journal.

Lines may be unordered, partial, repeated, damaged or foreign. Importing again changes nothing. Memory is constant.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from autointerp.batch.judging import BATCH_STAGES, BatchJudge, open_batch_judge
from autointerp.batch.lines import RawLine, Result, iter_lines, key_of, parse_result
from autointerp.batch.outstanding import Asked, Outstanding, open_outstanding
from autointerp.batch.state import load_state
from autointerp.config.tree import Config
from autointerp.errors import ConfigError, JudgeError, JudgeRejected, RunStopped
from autointerp.interruption import Interruption
from autointerp.judges.reply_key import request_of, shared_key, with_reply
from autointerp.judges.reply_rules import accept, is_price, judge_errors
from autointerp.progress import Progress, SilentProgress
from autointerp.runs.digests import unsealed_journal
from autointerp.runs.journal import Journal, open_journal
from autointerp.runs.layout import RunLayout
from autointerp.runs.lock import RunLock
from autointerp.runs.manifest import Manifest, read_manifest
from autointerp.runs.reply_cache import ReplyCache, open_reply_cache
from autointerp.runs.reply_record import FailedAttempt

__all__ = ["Imported", "import_results"]

_N_TOLD = 5
"""Faulty lines named one by one, per kind."""
_EVERY_LINES = 1000
_PAID = 200
"""Status of a paid answer, readable or not."""


@dataclass(slots=True)
class Imported:
    """Counts of lines; each read line counts in one of the seven fields after `n_read`.

    `n_known` were in the journal, `n_duplicates` earlier in these files, `n_unsent` ended unsent, `n_foreign` name no
    request of this run. Of the new replies `n_refused` are refusals, `n_unpriced` without `usd`. `n_missing` requests
    of the stage are unanswered; `told` describes the first faulty lines.
    """

    n_read: int = 0
    n_new: int = 0
    n_known: int = 0
    n_duplicates: int = 0
    n_failed: int = 0
    n_unsent: int = 0
    n_foreign: int = 0
    n_malformed: int = 0
    n_refused: int = 0
    n_unpriced: int = 0
    usd: float = 0.0
    n_missing: int = 0
    told: list[str] = field(default_factory=list)


def import_results(
    config: Config, layout: RunLayout, files: Sequence[Path], *, progress: Progress | None = None
) -> Imported:
    """Failed requests are exported again.

    Raises InputError for an unreadable file (earlier files are kept), ConfigError without an export, ArtefactError for
    a damaged journal or a full disk, Interrupted after the line at which a signal came.
    """
    if not layout.batch_requests.is_file():
        raise ConfigError(f"{layout.root} has exported nothing that results could be of; run batch export first")
    with RunLock(layout.lock), Interruption() as interruption, ExitStack() as stack:
        if layout.is_run():
            stack.enter_context(unsealed_journal(Manifest(layout, read_manifest(layout)), layout))
        outstanding = stack.enter_context(open_outstanding(layout.batch_requests))
        journal = stack.enter_context(open_journal(layout.journal, must_exist=True))
        place = config.limits.cache and config.limits.cache / "replies.sqlite"
        cache = stack.enter_context(open_reply_cache(place))
        desk = _Desk(config, layout, journal, cache, outstanding, stack)
        try:
            with (progress or SilentProgress()).bar("import", unit="lines") as bar:
                for file in files:
                    for line in iter_lines(file):
                        interruption.raise_if_any()
                        desk.take(file, line)
                        if desk.counts.n_read % _EVERY_LINES == 0:
                            bar.update(desk.counts.n_read, note=file.name)
                bar.update(desk.counts.n_read)
        finally:
            desk.note_rounds()
        desk.counts.n_missing = desk.count_missing()
        return desk.counts


class _Desk:
    """State of one import."""

    def __init__(
        self,
        config: Config,
        layout: RunLayout,
        journal: Journal,
        cache: ReplyCache,
        outstanding: Outstanding,
        stack: ExitStack,
    ) -> None:
        self._config, self._layout, self._stack = config, layout, stack
        self._journal, self._cache, self._outstanding = journal, cache, outstanding
        self._judges: dict[str, BatchJudge] = {}
        self._start = time.time()
        self._n_told: Counter[str] = Counter()
        self._n_by_round: Counter[str] = Counter()
        self.counts = Imported()

    def take(self, file: Path, line: RawLine) -> None:
        counts = self.counts
        counts.n_read += 1
        where = f"{file.name}, line {line.number}"
        try:
            result = parse_result(line.content)
        except ValueError as error:
            counts.n_malformed += 1
            self._tell("malformed", f"{where}: {'the file is cut off here' if line.is_cut else error}")
            return
        key = key_of(result.custom_id)
        known = None if key is None else self._journal.find_reply(key)
        if key is not None and known is not None:
            # recorded by an earlier line of these very files
            is_of_now = known.source == "judge" and known.at >= self._start
            counts.n_duplicates += is_of_now
            counts.n_known += not is_of_now
            self._outstanding.mark_answered(key)
            return
        asked = None if key is None else self._outstanding.find(key)
        if key is None or asked is None:
            counts.n_foreign += 1
            self._tell("foreign", f"{where}: custom_id {result.custom_id[:60]!r} is of no request of this run")
        elif result.status is None:
            counts.n_unsent += 1
        else:
            self._open(asked, result, result.status, where, line)

    def _open(self, asked: Asked, result: Result, status: int, where: str, line: RawLine) -> None:
        judge = self._judge(asked.stage)
        try:
            with judge_errors():
                reply, _ = accept(judge.read_result(status, result.body), model=asked.record.model)
        except (JudgeError, RunStopped) as error:
            # what stops a run when it is asked now says nothing about now when it comes in a file
            self._fail(asked, error, where, line, usd_at_most=_bound_usd(judge, asked) if status == _PAID else 0.0)
            return
        n_attempts = 1 + self._outstanding.n_failures(asked.record.key)
        record = with_reply(asked.record, reply, latency_s=0.0, n_attempts=n_attempts, at=time.time())
        shared, unpriced_usd = shared_key(judge.capabilities, record.key), 0.0
        if reply.usage.usd is None:
            unpriced_usd = _bound_usd(judge, asked)
        then = None if shared is None else partial(self._cache.store, key=shared)
        self._journal.record_reply(record, usd_at_most=unpriced_usd, then=then)
        self._outstanding.mark_answered(record.key)
        self._n_by_round[asked.file.partition("/")[0]] += 1
        counts = self.counts
        counts.n_new += 1
        counts.n_refused += reply.finish == "refused"
        counts.n_unpriced += reply.usage.usd is None
        counts.usd += reply.usage.usd or 0.0

    def _fail(
        self, asked: Asked, error: JudgeError | RunStopped, where: str, line: RawLine, *, usd_at_most: float
    ) -> None:
        key, counts = asked.record.key, self.counts
        attempt = self._outstanding.count_failure(key, hashlib.sha256(line.content.strip()).hexdigest()[:32])
        if attempt is None:
            counts.n_known += 1
            return
        counts.n_failed += 1
        self._n_by_round[asked.file.partition("/")[0]] += 1
        self._tell("rejected" if isinstance(error, JudgeRejected) else "failed", f"{where}: {error}")
        self._journal.record_failure(
            FailedAttempt(
                key=key,
                attempt=attempt,
                error_class=type(error).__name__,
                message=str(error),
                latency_s=0.0,
                at=time.time(),
                usd_at_most=usd_at_most,
            )
        )

    def _judge(self, stage: str) -> BatchJudge:
        if stage not in self._judges:
            self._judges[stage] = self._stack.enter_context(open_batch_judge(self._config, self._layout, stage))
        return self._judges[stage]

    def _tell(self, kind: str, text: str) -> None:
        self._n_told[kind] += 1
        if self._n_told[kind] <= _N_TOLD:
            self.counts.told.append(text)

    def note_rounds(self) -> None:
        """Count results per round, so that the next export leaves their files alone."""
        self._journal.flush()
        if not self._n_by_round:
            return
        state = load_state(self._layout)
        for round_ in state.rounds:
            round_.n_results += self._n_by_round[round_.name]
        state.save(self._layout)

    def count_missing(self) -> int:
        """Exported requests of the last stage without a reply."""
        self._outstanding.flush()
        state = load_state(self._layout)
        stages = [round_.stage for round_ in state.rounds[-1:]] or list(BATCH_STAGES)
        n_missing = 0
        for stage in stages:
            for key, _ in self._outstanding.unanswered(stage):
                if self._journal.find_reply(key) is None:
                    n_missing += 1
                else:
                    self._outstanding.mark_answered(key)
        return n_missing


def _bound_usd(judge: BatchJudge, asked: Asked) -> float:
    """Upper bound on the cost of an answer without readable price; 0 where unknown."""
    try:
        with judge_errors():
            bound_usd = judge.bound_usd(request_of(asked.record))
    except JudgeError:
        return 0.0
    return bound_usd * judge.batch_price_frac if is_price(bound_usd) else 0.0
