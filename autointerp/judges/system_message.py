"""System messages for models that refuse them (Gemma 2, older Mistrals)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from autointerp.judges.judge import Message

__all__ = ["fold_system", "refuses_system"]

_REFUSAL = re.compile(
    r"system['\"`]? (?:role|message|prompt|instruction)|developer instruction|['\"`]system['\"`]"
    r"|role[^.\n]{0,20}\bsystem\b"
    r"|roles must alternate|only user and assistant roles|only ['\"`]?user['\"`]? and ['\"`]?assistant['\"`]?",
    re.IGNORECASE,
)


def fold_system(messages: Sequence[Message]) -> tuple[Message, ...]:
    """Move a leading system message into the user's."""
    if not messages or messages[0].role != "system":
        return tuple(messages)
    system, *rest = messages
    if not rest or rest[0].role != "user":
        return (Message("user", system.content), *rest)
    return (Message("user", f"{system.content}\n\n{rest[0].content}"), *rest[1:])


def refuses_system(words: str) -> bool:
    """Whether an error is about a system message."""
    return _REFUSAL.search(words) is not None
