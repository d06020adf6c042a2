"""`summary.json`: the entries of a run as others read them.

Takes entries; knows nothing of how they were computed. The file is made anew from the table of scores at any time.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from autointerp.errors import ArtefactError
from autointerp.runs.layout import write_text

__all__ = ["SUMMARY_SCHEMA", "build_summary", "read_summary", "write_summary"]

SUMMARY_SCHEMA = 1

_TEXTS = ("name", "dictionary", "site", "explainer", "scorer", "judge", "prompt_hash")
_COUNTS = ("n_sampled", "n_scored")
_SHARES = ("unparsed_frac", "refused_frac", "error_frac")
_INTERVALS = ("f1", "f1_lenient", "balanced_accuracy", "excess", "beyond_token", "near_miss")
_REQUIRED = (*_TEXTS, *_COUNTS, *_SHARES, *_INTERVALS, "unscored", "baselines", "usd")


def build_summary(
    run: str, entries: Sequence[Mapping[str, Any]], *, about: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The plain content of `summary.json`. `about` holds facts of the run worth showing beside its board by name
    (the subject's model, the corpus, the seed); it must hold no secrets."""
    return {
        "schema_version": SUMMARY_SCHEMA,
        "run": run,
        "about": dict(about or {}),
        "entries": [dict(entry) for entry in entries],
    }


def write_summary(path: Path, summary: Mapping[str, Any]) -> None:
    """Write the summary atomically. Raises ValueError for a NaN: an undefined figure is null."""
    write_text(path, json.dumps(summary, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def read_summary(path: Path) -> dict[str, Any]:
    """Read a summary, keys unknown to this release included.

    Raises ArtefactError when the file is missing, damaged, of another schema version or lacks a key.
    """
    if not path.is_file():
        raise ArtefactError(f"{path} does not exist; finish the run (its report stage writes it)")
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError, OSError) as error:
        raise ArtefactError(f"{path} is damaged ({error}); delete it and run the report stage again") from None
    version = summary.get("schema_version") if isinstance(summary, dict) else None
    if version != SUMMARY_SCHEMA:
        raise ArtefactError(
            f"{path} has schema_version {version!r}, this release reads {SUMMARY_SCHEMA}; run the report stage again, "
            "or use the release that wrote it"
        )
    _check(path, summary)
    return summary


def _check(path: Path, summary: dict[str, Any]) -> None:
    def fail(what: str) -> ArtefactError:
        return ArtefactError(f"{path}: {what}; delete it and run the report stage again")

    if not isinstance(summary.get("run"), str) or not isinstance(summary.get("entries"), list):
        raise fail("'run' must be a string and 'entries' a list")
    for index, entry in enumerate(summary["entries"]):
        missing = [key for key in _REQUIRED if not isinstance(entry, dict) or key not in entry]
        if missing:
            raise fail(f"entries[{index}] lacks the key '{missing[0]}'")
        for key in _INTERVALS:
            value = entry[key]
            if value is not None and not (isinstance(value, dict) and {"mean", "lo", "hi", "n"} <= value.keys()):
                raise fail(f"entries[{index}].{key} must be null or hold mean, lo, hi and n")
