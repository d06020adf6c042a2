"""Names of tokens in a window: `DOCUMENT@OFFSET#3,7` are tokens 3 and 7.

Names are syntactic: whether the id is a window's is checked by the caller.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["name_tokens", "named_tokens"]

_NAMED = re.compile(r"(.*)#(\d+(?:,\d+)*)", re.DOTALL)


def name_tokens(window_id: str, positions: Sequence[int]) -> str:
    """Raises ValueError without positions."""
    if not positions:
        raise ValueError(f"no token of window {window_id} is named")
    return f"{window_id}#{','.join(map(str, positions))}"


def named_tokens(key: str) -> tuple[str, tuple[int, ...]] | None:
    """Window id and positions; None for a key without tokens."""
    match = _NAMED.fullmatch(key)
    return None if match is None else (match[1], tuple(map(int, match[2].split(","))))
