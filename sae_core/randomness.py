"""Independent torch generators, one per (seed, use), so that no order of work changes a result.

Takes a seed and names, gives a CPU generator; the global generator is never used. Knows nothing of what is drawn.
"""

from __future__ import annotations

import hashlib

import torch

__all__ = ["generator"]


def generator(seed: int, *names: str | int) -> torch.Generator:
    """A CPU generator for the stream called `names`; equal arguments give equal draws on every machine."""
    text = "\x1f".join([str(seed), *(str(name) for name in names)])
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return torch.Generator(device="cpu").manual_seed(int.from_bytes(digest, "little") >> 1)
