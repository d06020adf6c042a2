"""The result of reading another tool's file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sae_core.dictionary import Dictionary

__all__ = ["Imported", "Reader"]


@dataclass(frozen=True, kw_only=True)
class Imported:
    """A foreign dictionary."""

    dictionary: Dictionary
    format: str
    architecture: str  # its name in its own tool
    facts: dict[str, Any] = field(default_factory=dict)  # k, threshold, decoder norms, ... as in the file
    metadata: dict[str, Any] = field(default_factory=dict)  # JSON-ready origin: model, hook, ...
    notes: tuple[str, ...] = ()  # what was read otherwise than expected


Reader = Callable[[Path], Imported]
"""Reads a dictionary from a path of its format. Raises DictionaryFormatError."""
