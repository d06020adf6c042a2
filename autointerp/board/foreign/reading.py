"""Summaries of other tools' results by tool name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from autointerp.board.foreign import delphi, saebench
from autointerp.board.summary import SUMMARY_SCHEMA
from autointerp.errors import ConfigError, InputError

__all__ = ["TOOLS", "read_foreign"]

TOOLS: dict[str, Callable[[Path], list[dict[str, Any]]]] = {
    delphi.TOOL: delphi.read_delphi,
    saebench.TOOL: saebench.read_saebench,
}


def read_foreign(spec: str) -> dict[str, Any]:
    """The summary of `TOOL:PATH`. Raises ConfigError for an unknown tool, InputError for no results, ArtefactError for
    damage."""
    tool, separator, place = spec.partition(":")
    if not separator or tool not in TOOLS:
        raise ConfigError(f"--with {spec}: give TOOL:PATH, TOOL being one of {', '.join(TOOLS)}")
    path = Path(place)
    if not path.exists():
        raise InputError(f"--with {spec}: {path} does not exist; give a folder or file of {tool}'s results")
    return {"schema_version": SUMMARY_SCHEMA, "run": path.stem, "about": {}, "entries": TOOLS[tool](path)}
