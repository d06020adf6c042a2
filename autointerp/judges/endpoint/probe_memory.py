"""What probing an endpoint found, remembered: one small JSON file per endpoint, model and the options that matter.

It is kept in the run, where it holds as long as the run does, so that what is asked a second time is the same; and in
the user's cache directory for other runs, where it grows old. Knows nothing of how endpoints are probed.
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
"""A run goes on as it began, with what was not asked then as it was."""
_KEPT_S = 30 * 86400.0
"""How long the cache directory's findings are believed."""


@dataclass(frozen=True, slots=True)
class Finding:
    """How an endpoint wants to be asked for a model. `seen` says in words what it honours and ignores, `at` (ISO 8601,
    with its zone) when that was found, in `n_requests` requests. `answered_by` is the model as its replies name it and
    the fingerprint of its system, `serves` what the endpoint said of it then. `n_thoughts` are the tokens it took to
    think before a short answer."""

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
    """What is remembered of an endpoint, the run's own first; None when that is nothing, old, damaged, or in the cache
    and not `is_current`."""
    for folder, most_s in ((run, None), (cache, _KEPT_S)):
        finding = None if folder is None else _read(_file(folder, about), about, most_s)
        if finding is not None and (folder is run or is_current(finding)):
            if folder is cache and run is not None:
                remember(finding, about, run=run, cache=None)
            return finding
    return None


def remember(finding: Finding, about: Mapping[str, Any], *, run: Path | None, cache: Path | None) -> None:
    """Keep a finding; where a folder cannot be written it is not kept there."""
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
        found = content["found"]
        age_s = time.time() - datetime.fromisoformat(found["at"]).timestamp()
        wire = {**found["wire"], "omit_fields": tuple(found["wire"]["omit_fields"])}
        more = {name: found[name] for name in ("answered_by", "serves", "n_thoughts") if name in found}
        finding = Finding(Wire(**wire), tuple(found["seen"]), found["at"], found["n_requests"], **more)
    except (UnreadableFile, ValueError, TypeError, KeyError, AttributeError, OverflowError):
        return None
    versions = _RUNS_VERSIONS if most_s is None else (_SCHEMA_VERSION,)
    is_ours = content.get("schema_version") in versions and content.get("about") == json.loads(json.dumps(about))
    return finding if is_ours and (most_s is None or age_s <= most_s) else None
