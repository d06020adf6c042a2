"""Independent torch generators, one per seed and use, so that results do not depend on the order of work."""

from __future__ import annotations

import hashlib

import torch

__all__ = ["generator"]


def generator(seed: int, *names: str | int) -> torch.Generator:
    """A CPU generator for the stream called `names`; equal arguments give equal draws on every machine."""
    text = "\x1f".join([str(seed), *(str(name) for name in names)])
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return torch.Generator(device="cpu").manual_seed(int.from_bytes(digest, "little") >> 1)
