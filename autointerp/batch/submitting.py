"""Submitting a round's files to a service: upload, begin, watch, fetch, import.

State is written around every step that costs money; the next session after a kill first looks for what exists.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path

from autointerp.batch.importing import Imported, import_results
from autointerp.batch.judging import judge_of
from autointerp.batch.outstanding import open_outstanding
from autointerp.batch.service import BatchService, Standing, Unreachable, open_service
from autointerp.batch.state import BatchState, Round, SubmittedFile, load_state
from autointerp.config.asking import LimitsConfig
from autointerp.config.tree import Config
from autointerp.errors import ArtefactError, ConfigError, JudgeStopped, LimitReached
from autointerp.interruption import Interruption
from autointerp.progress import Bar, Progress, SilentProgress
from autointerp.runs.journal import open_journal
from autointerp.runs.layout import RunLayout
from autointerp.runs.lock import RunLock
from autointerp.stages.asking import judge_options

__all__ = ["POLL_S", "Submitted", "submit_round"]

POLL_S = 30.0

_N_UNREACHED = 20
"""Failed polls in a row that end watching; the batches go on."""


@dataclass(slots=True)
class Submitted:
    """Result of one session. `batches`: id and last state by round and file; `imported`: totals over all results."""

    batches: dict[str, tuple[str, str]] = field(default_factory=dict)
    imported: Imported = field(default_factory=Imported)
    is_waiting: bool = False


def submit_round(
    config: Config,
    layout: RunLayout,
    *,
    is_detached: bool = False,
    poll_s: float = POLL_S,
    progress: Progress | None = None,
) -> Submitted:
    """Submit the last export's files, watch all batches and import their results. `is_detached`: leave once they have
    begun.

    Raises ConfigError with nothing to submit, LimitReached before a batch that could exceed a ceiling of
    `config.limits`, JudgeStopped when the service fails or rejects a file. Begun batches go on; call again to watch
    them.
    """
    state = load_state(layout)
    if not state.rounds:
        raise ConfigError(f"{layout.root} has no batch files; run batch export first")
    stage = state.rounds[-1].stage
    spec = judge_of(config, stage)
    with (
        RunLock(layout.batch / "submit.lock", noun="the batches in"),
        Interruption() as interruption,
        open_service(spec, dict(judge_options(config, layout, spec))) as service,
    ):
        session = _Session(config, layout, service, progress or SilentProgress(), interruption)
        session.check()
        with session.progress.bar(f"batches: {stage}", unit="requests") as bar:
            while not session.advance(bar, is_detached=is_detached):
                interruption.sleep(poll_s)
        return session.finish()


class _Session:
    """One call, with the state on disk and at the service."""

    def __init__(
        self,
        config: Config,
        layout: RunLayout,
        service: BatchService,
        progress: Progress,
        interruption: Interruption,
    ) -> None:
        self._config, self._layout, self._service, self.progress = config, layout, service, progress
        self._interruption = interruption
        self._state: BatchState = load_state(layout)
        self._listed: list[Standing] | None = None
        self._has_listed = False
        self._standings: dict[str, Standing] = {}
        self._n_unreached = 0
        self._rejected: list[str] = []
        self.done = Submitted()

    def check(self) -> None:
        """Raises ConfigError with nothing to do, or when requests were answered meanwhile."""
        waiting = {f"{round_.name}/{file.name}" for round_, file in self._waiting()}
        if not waiting and not self._state.live():
            raise ConfigError(
                f"every batch of {self._layout.root} is submitted and imported; run batch export for what is missing"
            )
        if not waiting:
            return
        stage = self._state.rounds[-1].stage
        with (
            open_outstanding(self._layout.batch_requests) as outstanding,
            open_journal(self._layout.journal) as journal,
        ):
            n_missing = sum(
                file in waiting and journal.find_reply(key) is None for key, file in outstanding.unanswered(stage)
            )
        n_waiting = sum(file.n_requests for _, file in self._waiting())
        if n_missing < n_waiting:
            raise ConfigError(
                f"{n_waiting - n_missing} of the {n_waiting} requests to be submitted were answered meanwhile; "
                "run batch export again"
            )

    def advance(self, bar: Bar, *, is_detached: bool) -> bool:
        """Begin, watch and collect what is possible now; True when all is done."""
        blocked = self._begin_waiting()
        if blocked is not None and (is_detached or not self._state.live()):
            raise blocked
        if not is_detached:
            self._watch()
        self._show(bar)
        self.done.is_waiting = bool(self._state.live())
        return is_detached or not (self.done.is_waiting or any(self._waiting()))

    def finish(self) -> Submitted:
        """Raises JudgeStopped when the service rejected a file."""
        if self._rejected:
            raise JudgeStopped("; ".join(self._rejected) + "; mend that and run batch export again")
        return self.done

    def _waiting(self) -> Iterator[tuple[Round, SubmittedFile]]:
        """Files of the last round not begun."""
        # the rest of older rounds was exported anew
        last = self._state.rounds[-1]
        yield from ((last, file) for file in last.files if file.step in ("written", "uploading", "uploaded"))

    def _begin_waiting(self) -> LimitReached | None:
        """Begin files up to a ceiling, which is returned."""
        for round_, file in self._state.live():
            if file.step == "creating":  # an earlier session ended before it heard whether the batch had begun
                self._begin(round_, file)
        for round_, file in list(self._waiting()):
            self._interruption.raise_if_any()
            try:
                self._require_room(file)
            except LimitReached as error:
                return error
            self._begin(round_, file)
        return None

    def _require_room(self, file: SubmittedFile) -> None:
        """Raises LimitReached when this file could exceed a ceiling, counting batches under way at their bound."""
        limits = self._config.limits
        with open_journal(self._layout.journal) as journal:
            before = journal.totals()
        files = [*(live for _, live in self._state.live()), file]
        n_requests = before.n_sent + sum(f.n_requests for f in files)
        if limits.max_requests is not None and n_requests > limits.max_requests:
            raise LimitReached(
                f"limits.max_requests = {limits.max_requests} is below the {n_requests} that {file.name} would make; "
                "raise it, or export smaller files (--file-requests)"
            )
        _require_usd(limits, file, files, before.usd)

    def _begin(self, round_: Round, file: SubmittedFile) -> None:
        """Begin a file's batch, or find one begun earlier."""
        metadata = {"autointerp_round": round_.name, "autointerp_sha256": file.sha256}
        standing = self._find(metadata, is_needed=file.step == "creating")
        if standing is None:
            if file.file_id is None:
                self._upload(round_, file)
            # noted first: after a kill from here on a batch may exist
            file.step = "creating"
            self._state.save(self._layout)
            try:
                standing = self._service.begin(file.file_id or "", metadata)
            except Unreachable:
                raise  # it may have begun all the same: the next session looks
            except JudgeStopped:
                file.step = "uploaded"
                self._state.save(self._layout)
                raise
        file.batch_id, file.status, file.step = standing.id, standing.status, "submitted"
        self._state.save(self._layout)
        self._note(round_, file)

    def _find(self, metadata: dict[str, str], *, is_needed: bool) -> Standing | None:
        if not self._has_listed:
            self._listed, self._has_listed = self._service.list_batches(), True
        if self._listed is None and is_needed:
            raise JudgeStopped(
                f"this service lists no batches, so whether the one of round {metadata['autointerp_round']} has begun "
                f"cannot be seen; look for it there and import its results, then delete {self._layout.batch_state}"
            )
        return next((s for s in self._listed or () if metadata.items() <= s.metadata.items()), None)

    def _upload(self, round_: Round, file: SubmittedFile) -> None:
        path = BatchState.path_of(self._layout, round_, file)
        _require_unchanged(path, file)
        name = f"autointerp-{round_.name}-{file.sha256[:16]}.jsonl"
        file.step = "uploading"
        self._state.save(self._layout)
        file.file_id = self._service.find_file(name, file.n_bytes) or self._service.upload(path, name)
        file.step = "uploaded"
        self._state.save(self._layout)

    def _watch(self) -> None:
        """Look once at every batch under way; collect ended ones."""
        for round_, file in self._state.live():
            self._interruption.raise_if_any()
            try:
                standing = self._service.look(file.batch_id or "")
                self._n_unreached = 0
            except Unreachable as error:
                self._n_unreached += 1
                if self._n_unreached >= _N_UNREACHED:
                    raise JudgeStopped(
                        f"{error}; the batches go on, run the same command again to watch them"
                    ) from None
                continue
            self._standings[f"{round_.name}/{file.name}"] = standing
            if standing.status != file.status:
                file.status = standing.status
                self._state.save(self._layout)
            if standing.is_over:
                self._collect(round_, file, standing)
            self._note(round_, file)

    def _collect(self, round_: Round, file: SubmittedFile, standing: Standing) -> None:
        """Fetch and import the results of an ended batch."""
        number = file.name.removeprefix("requests-")
        paths: list[Path] = []
        for file_id, name in ((standing.output_file_id, "results"), (standing.error_file_id, "errors")):
            if file_id is not None:
                path = self._layout.batch / round_.name / f"{name}-{number}"
                if self._service.fetch(file_id, path, n_results=file.n_requests):
                    paths.append(path)
                else:
                    self.progress.say(f"{path.name} of batch {standing.id} is gone; batch export asks again")
        if paths:
            imported = import_results(self._config, self._layout, paths)
            _add(self.done.imported, imported)
            self.progress.say(
                f"{round_.name}/{file.name}: batch {standing.id} {standing.status}, {imported.n_new} new replies, "
                f"{imported.n_failed} failed, ${imported.usd:.2f}"
            )
            fresh = load_state(self._layout)  # the import noted there what came
            for mine, theirs in zip(self._state.rounds, fresh.rounds, strict=True):
                mine.n_results = theirs.n_results
        if standing.status == "failed":
            self._rejected.append(f"batch {standing.id} of {round_.name}/{file.name} failed ({standing.errors or '?'})")
        file.step = "collected"
        self._state.save(self._layout)

    def _note(self, round_: Round, file: SubmittedFile) -> None:
        self.done.batches[f"{round_.name}/{file.name}"] = (file.batch_id or "", file.status or "")

    def _show(self, bar: Bar) -> None:
        states = Counter(state for _, state in self.done.batches.values())
        names = {f"{round_.name}/{file.name}": file for round_ in self._state.rounds for file in round_.files}
        total = sum(names[name].n_requests for name in self.done.batches)
        done = sum(standing.n_done + standing.n_failed for standing in self._standings.values())
        bar.update(done, total=total, note=", ".join(f"{n} {state}" for state, n in sorted(states.items())))


def _require_usd(limits: LimitsConfig, file: SubmittedFile, files: list[SubmittedFile], spent_usd: float) -> None:
    if limits.max_usd is None:
        return
    bounds = [f.bound_usd for f in files]
    if any(bound is None for bound in bounds):
        raise LimitReached(
            f"limits.max_usd = {limits.max_usd:g} cannot be kept: no price is known; give judges.openai its prices per "
            "million tokens, or drop limits.max_usd"
        )
    most_usd = spent_usd + sum(bound for bound in bounds if bound is not None)
    if most_usd > limits.max_usd:
        raise LimitReached(
            f"limits.max_usd = {limits.max_usd:g} is below the ${most_usd:.4f} that {file.name} could make it at most "
            f"(${spent_usd:.4f} are spent); raise it, or export smaller files (--file-requests)"
        )


def _require_unchanged(path: Path, file: SubmittedFile) -> None:
    try:
        with path.open("rb") as opened:
            digest = hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        raise ArtefactError(f"{path} cannot be read ({error.strerror}); run batch export again") from None
    if digest != file.sha256:
        raise ArtefactError(f"{path} was changed since it was exported; run batch export again")


def _add(total: Imported, more: Imported) -> None:
    for column in fields(Imported):
        if column.name != "n_missing":
            setattr(total, column.name, getattr(total, column.name) + getattr(more, column.name))
    total.n_missing = more.n_missing
