"""The system's message for models that know none: it joins the user's.

The chat templates of Gemma 2 and the older Mistrals refuse it. Takes messages and servers' words.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from autointerp.judges.protocol import Message

__all__ = ["fold_system", "refuses_system"]

_REFUSAL = re.compile(
    r"system['\"`]? (?:role|message|prompt|instruction)|developer instruction|['\"`]system['\"`]"
    r"|role[^.\n]{0,20}\bsystem\b"
    r"|roles must alternate|only user and assistant roles|only ['\"`]?user['\"`]? and ['\"`]?assistant['\"`]?",
    re.IGNORECASE,
)


def fold_system(messages: Sequence[Message]) -> tuple[Message, ...]:
    """The messages with a leading one of the system put before the text of the first one of the user."""
    if not messages or messages[0].role != "system":
        return tuple(messages)
    system, *rest = messages
    if not rest or rest[0].role != "user":
        return (Message("user", system.content), *rest)
    return (Message("user", f"{system.content}\n\n{rest[0].content}"), *rest[1:])


def refuses_system(words: str) -> bool:
    """Whether an error's words are about a message of the system."""
    return _REFUSAL.search(words) is not None
