"""`summary.json`: the entries of a run, made anew from the table of scores at any time."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from autointerp.errors import ArtefactError, UnreadableFile
from autointerp.runs.layout import write_text
from autointerp.small_files import read_json

__all__ = ["SUMMARY_SCHEMA", "build_summary", "read_summary", "write_summary"]

SUMMARY_SCHEMA = 1

_FIX = "run the report stage again (`autointerp report RUN`)"


def build_summary(
    run: str, entries: Sequence[Mapping[str, Any]], *, about: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The content of `summary.json`; `about` holds facts of the run to show, no secrets."""
    return {
        "schema_version": SUMMARY_SCHEMA,
        "run": run,
        "about": dict(about or {}),
        "entries": [dict(entry) for entry in entries],
    }


def write_summary(path: Path, summary: Mapping[str, Any]) -> None:
    """Write the summary atomically. Raises ValueError for a NaN; undefined figures are null."""
    write_text(path, json.dumps(summary, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def read_summary(path: Path) -> dict[str, Any]:
    """The summary, unknown keys included.

    Raises ArtefactError if missing, damaged, of another schema version or incomplete.
    """
    try:
        summary = read_json(path, is_finite=True)
    except UnreadableFile as error:
        raise ArtefactError(f"{error}; {_FIX}") from None
    version = summary.get("schema_version") if isinstance(summary, dict) else None
    if version != SUMMARY_SCHEMA:
        raise ArtefactError(
            f"{path} has schema_version {version!r}, this release reads {SUMMARY_SCHEMA}; run the report stage again, "
            "or use the release that wrote it"
        )
    try:
        _Summary.model_validate(summary)
    except ValidationError as error:
        raise ArtefactError(f"{path} is damaged: {_first_fault(error)}; {_FIX}") from None
    return summary


def _first_fault(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"]).lstrip(".")
    if first["type"] == "missing":
        return f"{place.rpartition('.')[0]} lacks the key '{first['loc'][-1]}'".lstrip()
    return f"{place}: {first['msg']}" if place else first["msg"]


class _Part(BaseModel):
    """A part of the file; unknown keys are allowed."""

    model_config = ConfigDict(strict=True, extra="allow", allow_inf_nan=False)


class _Interval(_Part):
    mean: float
    lo: float
    hi: float
    n: Annotated[int, Field(ge=0)]

    @model_validator(mode="after")
    def _check(self) -> _Interval:
        if self.lo > self.hi:
            raise ValueError(f"lo = {self.lo:g} is above hi = {self.hi:g}")
        return self


_Count = Annotated[int, Field(ge=0)]
_Share = Annotated[float, Field(ge=0.0, le=1.0)]


class _Baselines(_Part):
    always_yes_f1: float | None
    always_no_accuracy: float | None
    coin_f1: float | None


class _Entry(_Part):
    name: str
    dictionary: str
    site: str
    explainer: str
    scorer: str
    judge: str
    prompt_hash: str
    n_sampled: _Count
    n_scored: _Count
    unscored: dict[str, _Count]
    f1: _Interval | None
    f1_lenient: _Interval | None
    balanced_accuracy: _Interval | None
    excess: _Interval | None
    beyond_token: _Interval | None
    near_miss: _Interval | None
    baselines: _Baselines
    unparsed_frac: _Share
    refused_frac: _Share
    error_frac: _Share
    usd: Annotated[float, Field(ge=0.0)] | None
    score: _Interval | None = None

    @model_validator(mode="after")
    def _check(self) -> _Entry:
        if self.n_scored > self.n_sampled:
            raise ValueError(f"n_scored = {self.n_scored} is more than n_sampled = {self.n_sampled}")
        return self


class _Summary(_Part):
    run: str
    entries: list[_Entry]
