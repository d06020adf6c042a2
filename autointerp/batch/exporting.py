"""Export of a stage's unanswered requests into files.

The stage runs with a client that sends nothing, so requests and keys are the same as when asked directly.
"""

from __future__ import annotations

import shutil
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

from autointerp.batch.collecting import Collector
from autointerp.batch.judging import BATCH_STAGES, BatchJudge, open_batch_judge
from autointerp.batch.lines import render_request
from autointerp.batch.outstanding import Outstanding, open_outstanding
from autointerp.batch.rehearsing import NOWHERE, run_stage
from autointerp.batch.request_files import FileLimits, RequestWriter
from autointerp.batch.state import BatchState, Round, SubmittedFile, load_state
from autointerp.config.tree import Config
from autointerp.errors import ConfigError
from autointerp.judges.judge import Request
from autointerp.judges.reply_key import request_to_record
from autointerp.progress import Progress, SilentProgress
from autointerp.runs.journal import open_journal
from autointerp.runs.layout import RunLayout, write_failure
from autointerp.runs.lock import RunLock
from autointerp.runs.manifest import read_manifest
from autointerp.runs.reply_cache import open_reply_cache

__all__ = ["Exported", "export_round", "next_stage"]


@dataclass(frozen=True, slots=True)
class Exported:
    """Result of one export; `round_` is None where nothing was written.

    Of the written requests, `n_again` were unanswered in an earlier round and `n_follow_ups` follow from earlier
    answers. `n_in_flight` are in submitted batches; `n_unsendable` fit no file (`why_unsendable`).
    """

    stage: str
    round_: Round | None
    n_again: int
    n_follow_ups: int
    n_known: int
    n_in_flight: int
    n_unsendable: int
    why_unsendable: str

    @property
    def n_requests(self) -> int:
        return 0 if self.round_ is None else self.round_.n_requests

    @property
    def is_complete(self) -> bool:
        """Whether the stage could end without asking."""
        return not (self.n_requests or self.n_in_flight or self.n_unsendable)


def next_stage(layout: RunLayout) -> str | None:
    """First unfinished asking stage, None when all are done. Raises ConfigError before the harvest."""
    done = read_manifest(layout)["stages"]
    if "harvest" not in done:
        raise ConfigError(f"the stage 'harvest' of {layout.root} is not finished; run it first (autointerp harvest)")
    return next((stage for stage in BATCH_STAGES if stage not in done), None)


def export_round(
    config: Config, layout: RunLayout, stage: str, *, limits: FileLimits, progress: Progress | None = None
) -> Exported:
    """Write the requests `stage` lacks into a new round, or over the last one if it was neither submitted nor answered.

    Raises ConfigError for a judge without batch files, ArtefactError for damaged files or a full disk.
    """
    with RunLock(layout.lock), open_batch_judge(config, layout, stage) as judge:
        state = load_state(layout)
        place = config.limits.cache and config.limits.cache / "replies.sqlite"
        shared = open_reply_cache(place) if config.limits.reuse else nullcontext(None)
        folder = layout.batch / ".exporting"
        writer = RequestWriter(folder, limits)
        with open_journal(layout.journal) as journal, shared as cache:
            with open_outstanding(layout.batch_requests) as outstanding, writer:
                export = _Export(stage, state, judge, outstanding, writer)
                collector = Collector(judge.capabilities, journal=journal, cache=cache, emit=export.write)
                run_stage(
                    config,
                    layout,
                    stage,
                    client=collector,
                    recorder=NOWHERE,
                    progress=progress or SilentProgress(),
                    note=lambda: f"{export.n_requests:,} requests",
                )
            if collector.failure is not None:
                raise collector.failure
        round_ = _keep(layout, state, export, writer)
    return Exported(
        stage=stage,
        round_=round_,
        n_again=export.n_again,
        n_follow_ups=export.n_new if round_ is not None and round_.number > 1 else 0,
        n_known=collector.n_known,
        n_in_flight=export.n_in_flight,
        n_unsendable=collector.n_unsendable,
        why_unsendable=collector.why_unsendable,
    )


class _Export:
    """The requests of a rehearsed stage, written one by one."""

    def __init__(
        self, stage: str, state: BatchState, judge: BatchJudge, outstanding: Outstanding, writer: RequestWriter
    ) -> None:
        self._judge, self._outstanding, self._writer = judge, outstanding, writer
        self._live = {f"{round_.name}/{file.name}" for round_, file in state.live()}
        earlier = state.of_stage(stage)
        self.replaced = earlier[-1] if earlier and not earlier[-1].is_touched else None
        self.stage = stage
        self.number = len(earlier) + (self.replaced is None)
        self.n_again = self.n_new = self.n_in_flight = 0

    @property
    def n_requests(self) -> int:
        return self.n_again + self.n_new

    def write(self, key: str, request: Request) -> None:
        """Write one request, unless it is under way. Raises AutointerpError where it cannot be written."""
        before = self._outstanding.exported(key)
        if before is not None and before.file in self._live:
            self.n_in_flight += 1
            return
        line = render_request(key, self._judge.request_body(request))
        bound_usd = self._judge.bound_usd(request)
        frac = self._judge.batch_price_frac
        name = self._writer.write(line, bound_usd=None if bound_usd is None else bound_usd * frac)
        record = request_to_record(request, key=key, capabilities=self._judge.capabilities)
        self._outstanding.put(
            record, stage=self.stage, round_number=self.number, file=f"{self.stage}-{self.number}/{name}"
        )
        if before is not None and before.round_number < self.number:
            self.n_again += 1
        else:
            self.n_new += 1


def _keep(layout: RunLayout, state: BatchState, export: _Export, writer: RequestWriter) -> Round | None:
    """Move the files into place and note the round."""
    # after a kill at any line, the next export starts over
    if export.replaced is not None:
        state.rounds.remove(export.replaced)
        state.save(layout)
        _delete(layout.batch / export.replaced.name)
    if not writer.files:
        _delete(writer.folder)
        return None
    files = [SubmittedFile(**asdict(file)) for file in writer.files]
    round_ = Round(stage=cast(Any, export.stage), number=export.number, n_requests=export.n_requests, files=files)
    place = layout.batch / round_.name
    _delete(place)
    try:
        writer.folder.rename(place)
    except OSError as error:
        raise write_failure(place, error) from None
    state.rounds.append(round_)
    state.save(layout)
    return round_


def _delete(folder: Path) -> None:
    try:
        if folder.exists():
            shutil.rmtree(folder)
    except OSError as error:
        raise write_failure(folder, error) from None
