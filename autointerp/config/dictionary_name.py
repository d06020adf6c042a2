"""Names of an entry's trainings: `sae`, `sae.seed2`, `sae.seed3`; entry names hold no dot."""

from __future__ import annotations

__all__ = ["entry_of", "seed_of", "seeded_name"]

_MARK = ".seed"


def seeded_name(entry: str, seed: int) -> str:
    """The name for a seed, counted from 1; the first is the entry's own."""
    return entry if seed == 1 else f"{entry}{_MARK}{seed}"


def entry_of(dictionary: str) -> str:
    """The entry of a dictionary."""
    return _parts(dictionary)[0]


def seed_of(dictionary: str) -> int:
    """The seed of a dictionary, counted from 1."""
    return _parts(dictionary)[1]


def _parts(dictionary: str) -> tuple[str, int]:
    entry, mark, seed = dictionary.rpartition(_MARK)
    return (entry, int(seed)) if mark and seed.isdecimal() else (dictionary, 1)
