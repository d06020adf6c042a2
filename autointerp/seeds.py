"""Independent random streams, one per (seed, use, item), so that no order of work changes a result."""

from __future__ import annotations

import hashlib

import numpy as np

__all__ = ["derive", "stream", "unit_hash"]


def derive(seed: int, *names: str | int) -> int:
    """A 63-bit seed, equal on every machine."""
    text = "\x1f".join([str(seed), *(str(name) for name in names)])
    # half characters may stand in names of files that are no UTF-8
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def stream(seed: int, *names: str | int) -> np.random.Generator:
    """The generator of a use, such as `stream(seed, "score", "sae", 17)`."""
    return np.random.default_rng(derive(seed, *names))


def unit_hash(*names: str | int) -> float:
    """A number in [0, 1) that depends on `names` only."""
    return derive(0, *names) / 2.0**63
