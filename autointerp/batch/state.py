"""What a run has exported and submitted, as one small JSON file that is rewritten whole at every step.

It holds names, counts, hashes and the ids the service gave; no key, and nothing of what is asked.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from autointerp.errors import ArtefactError, UnreadableFile
from autointerp.runs.layout import RunLayout, write_text
from autointerp.small_files import read_json

__all__ = ["BATCH_SCHEMA", "BatchState", "Round", "SubmittedFile", "load_state"]

BATCH_SCHEMA = 1

Step = Literal["written", "uploading", "uploaded", "creating", "submitted", "collected"]
"""How far a file is. `uploading` and `creating` are noted before the service is asked, so that a sitting after a kill
knows to look there first for what may have arrived."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class SubmittedFile(_Part):
    """One file of requests and its batch. `status` is the batch's last known one, in the service's words."""

    name: str
    n_requests: int
    n_bytes: int
    sha256: str
    bound_usd: float | None
    step: Step = "written"
    file_id: str | None = None
    batch_id: str | None = None
    status: str | None = None

    @property
    def is_live(self) -> bool:
        """Whether its requests may be under way, and paid for."""
        return self.step in ("creating", "submitted")


class Round(_Part):
    """The files of one export. `n_results` counts the result lines imported so far, whatever they said."""

    stage: Literal["explain", "score"]
    number: int
    n_requests: int
    n_results: int = 0
    files: list[SubmittedFile]

    @property
    def name(self) -> str:
        """The name of its folder."""
        return f"{self.stage}-{self.number}"

    @property
    def is_touched(self) -> bool:
        """Whether it was submitted, if only in part, or results of it came: its files must stay as they are."""
        return self.n_results > 0 or any(file.step != "written" for file in self.files)


class BatchState(_Part):
    """All rounds of a run in the order they were exported."""

    schema_version: int = BATCH_SCHEMA
    rounds: list[Round] = []

    def of_stage(self, stage: str) -> list[Round]:
        """The rounds of one stage."""
        return [round_ for round_ in self.rounds if round_.stage == stage]

    def live(self) -> list[tuple[Round, SubmittedFile]]:
        """The files whose requests may be under way, each with its round."""
        return [(round_, file) for round_ in self.rounds for file in round_.files if file.is_live]

    def save(self, layout: RunLayout) -> None:
        """Write the file in one step."""
        write_text(layout.batch_state, self.model_dump_json(indent=2) + "\n")

    @staticmethod
    def path_of(layout: RunLayout, round_: Round, file: SubmittedFile) -> Path:
        """Where a file of requests lies."""
        return layout.batch / round_.name / file.name


def load_state(layout: RunLayout) -> BatchState:
    """The state of a run, empty where nothing was exported yet. Raises ArtefactError when it is damaged or foreign."""
    path = layout.batch_state
    try:
        state = BatchState.model_validate(read_json(path))
    except (UnreadableFile, ValidationError) as error:
        if isinstance(error, UnreadableFile) and error.is_missing:
            return BatchState()
        fault = error if isinstance(error, UnreadableFile) else f"{path} is damaged"
        raise ArtefactError(
            f"{fault}; restore it, or delete it and export again (what was submitted is found by its content)"
        ) from None
    if state.schema_version != BATCH_SCHEMA:
        raise ArtefactError(
            f"{path} has schema version {state.schema_version}, this autointerp reads {BATCH_SCHEMA}; "
            "use the autointerp that made it"
        )
    return state
