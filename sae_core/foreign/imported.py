"""What reading another tool's file gives: the dictionary in our convention, and what is known about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sae_core.dictionary import Dictionary

__all__ = ["Imported", "Reader"]


@dataclass(frozen=True, kw_only=True)
class Imported:
    """A foreign dictionary.

    `architecture`: its name in its own tool; `facts`: what inspection shows beside the sizes (k, threshold, decoder
    norms as they stood in the file, ...); `metadata`: JSON-ready, what the tool recorded (model, hook, ...); `notes`:
    sentences about what was read otherwise than one may expect.
    """

    dictionary: Dictionary
    format: str
    architecture: str
    facts: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


Reader = Callable[[Path], Imported]
"""Reads a dictionary from a file or directory of its format. Raises DictionaryFormatError."""
