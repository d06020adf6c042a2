"""What the trainings of one entry are called: `sae`, then `sae.seed2`, `sae.seed3`, one for each seed.

An entry's own name holds no dot, so which entry a dictionary belongs to is in its name.
"""

from __future__ import annotations

__all__ = ["entry_of", "seed_of", "seeded_name"]

_MARK = ".seed"


def seeded_name(entry: str, seed: int) -> str:
    """The name of an entry's dictionary, seeds counted from 1; the first has the entry's own."""
    return entry if seed == 1 else f"{entry}{_MARK}{seed}"


def entry_of(dictionary: str) -> str:
    """The entry that a dictionary is a training of."""
    return _parts(dictionary)[0]


def seed_of(dictionary: str) -> int:
    """Which of its entry's seeds, counted from 1, a dictionary was trained with."""
    return _parts(dictionary)[1]


def _parts(dictionary: str) -> tuple[str, int]:
    entry, mark, seed = dictionary.rpartition(_MARK)
    return (entry, int(seed)) if mark and seed.isdecimal() else (dictionary, 1)
