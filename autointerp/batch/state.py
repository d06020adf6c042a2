"""Exported and submitted rounds of a run, in one JSON file rewritten at every step. It holds no keys and no
requests.
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
"""Progress of a file. `uploading` and `creating` are noted before the request to the service, so that after a kill the
next session looks there first.
"""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class SubmittedFile(_Part):
    """One request file and its batch, with the batch's last known `status`."""

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
    """Files of one export; `n_results` counts imported result lines."""

    stage: Literal["explain", "score"]
    number: int
    n_requests: int
    n_results: int = 0
    files: list[SubmittedFile]

    @property
    def name(self) -> str:
        return f"{self.stage}-{self.number}"

    @property
    def is_touched(self) -> bool:
        """Whether its files must stay: submitted in part, or with results."""
        return self.n_results > 0 or any(file.step != "written" for file in self.files)


class BatchState(_Part):
    """Rounds in order of export."""

    schema_version: int = BATCH_SCHEMA
    rounds: list[Round] = []

    def of_stage(self, stage: str) -> list[Round]:
        return [round_ for round_ in self.rounds if round_.stage == stage]

    def live(self) -> list[tuple[Round, SubmittedFile]]:
        """Files whose requests may be under way."""
        return [(round_, file) for round_ in self.rounds for file in round_.files if file.is_live]

    def save(self, layout: RunLayout) -> None:
        """Write atomically."""
        write_text(layout.batch_state, self.model_dump_json(indent=2) + "\n")

    @staticmethod
    def path_of(layout: RunLayout, round_: Round, file: SubmittedFile) -> Path:
        return layout.batch / round_.name / file.name


def load_state(layout: RunLayout) -> BatchState:
    """Empty before any export. Raises ArtefactError when damaged or foreign."""
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
