"""Remembered probe findings as JSON files: permanent in a run, so that its questions stay the same, expiring in the
user's cache.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from autointerp.errors import ArtefactError, UnreadableFile
from autointerp.judges.endpoint.dialects import Wire
from autointerp.runs.layout import write_text
from autointerp.small_files import read_json

__all__ = ["Finding", "recall", "remember"]

_SCHEMA_VERSION = 2
_RUNS_VERSIONS = (1, 2)
"""A run continues as it began."""
_KEPT_S = 30 * 86400.0
"""Age from which cached findings are ignored."""


@dataclass(frozen=True, slots=True)
class Finding:
    """How to ask one model at one endpoint. `seen`: what it honours, in words; `at`: ISO 8601 with zone; `answered_by`:
    model and fingerprint in its replies; `serves`: the endpoint's entry for the model; `n_thoughts`: tokens of thought
    before a short answer.
    """

    wire: Wire
    seen: tuple[str, ...]
    at: str
    n_requests: int
    answered_by: Mapping[str, str] = field(default_factory=dict)
    serves: Mapping[str, Any] | None = None
    n_thoughts: int = 0


def recall(
    about: Mapping[str, Any],
    *,
    run: Path | None,
    cache: Path | None,
    is_current: Callable[[Finding], bool] = lambda _: True,
) -> Finding | None:
    """Finding of the run, else of the cache; None when missing, old, damaged or not `is_current`."""
    for folder, most_s in ((run, None), (cache, _KEPT_S)):
        finding = None if folder is None else _read(_file(folder, about), about, most_s)
        if finding is not None and (folder is run or is_current(finding)):
            if folder is cache and run is not None:
                remember(finding, about, run=run, cache=None)
            return finding
    return None


def remember(finding: Finding, about: Mapping[str, Any], *, run: Path | None, cache: Path | None) -> None:
    """Unwritable folders are skipped."""
    content = {"schema_version": _SCHEMA_VERSION, "about": dict(about), "found": asdict(finding)}
    for folder in (run, cache):
        if folder is not None:
            with suppress(ArtefactError):
                write_text(_file(folder, about), json.dumps(content, indent=2, sort_keys=True) + "\n")


def _file(folder: Path, about: Mapping[str, Any]) -> Path:
    content = json.dumps(about, sort_keys=True)
    return folder / f"{hashlib.blake2b(content.encode(), digest_size=12).hexdigest()}.json"


def _read(file: Path, about: Mapping[str, Any], most_s: float | None) -> Finding | None:
    try:
        content = read_json(file)
        stored = content["found"]
        age_s = time.time() - datetime.fromisoformat(stored["at"]).timestamp()
        wire = {**stored["wire"], "omit_fields": tuple(stored["wire"]["omit_fields"])}
        more = {name: stored[name] for name in ("answered_by", "serves", "n_thoughts") if name in stored}
        finding = Finding(Wire(**wire), tuple(stored["seen"]), stored["at"], stored["n_requests"], **more)
    except (UnreadableFile, ValueError, TypeError, KeyError, AttributeError, OverflowError):
        return None
    versions = _RUNS_VERSIONS if most_s is None else (_SCHEMA_VERSION,)
    is_ours = content.get("schema_version") in versions and content.get("about") == json.loads(json.dumps(about))
    return finding if is_ours and (most_s is None or age_s <= most_s) else None
