"""What probe replies reveal about format, log-probabilities and token limit."""

from __future__ import annotations

import json
from typing import Literal

from autointerp.judges.endpoint.dialects import ReplyFormat
from autointerp.judges.judge import Reply

__all__ = ["COUNT_TOKENS", "Heeded", "format_heeded", "limit_heeded", "logprobs_heeded", "room_to_think"]

Heeded = Literal["honoured", "ignored", "unknown"]

COUNT_TOKENS = 16
"""Token limit for a long count."""
_LONG_CHARACTERS = 200
"""More characters than fit that limit."""
_THOUGHT_FACTOR, _LEAST_THINKING_TOKENS = 4, 1024
"""Thought for many windows, relative to one sentence."""


def room_to_think(n_thoughts: int) -> int:
    """Tokens beyond `max_tokens` for a thinking model."""
    room = _LEAST_THINKING_TOKENS
    # coarse steps: a little more thought next time must not change requests
    while room < _THOUGHT_FACTOR * n_thoughts:
        room *= 2
    return room


def format_heeded(reply: Reply, kind: ReplyFormat) -> Heeded:
    begun = reply.text.lstrip()[:1]
    if kind == "none" or not begun:
        return "unknown"
    if reply.finish == "length":  # cut off: prose shows, while an object, or a thought before it, may have become one
        return "unknown" if begun in "{<" else "ignored"
    if reply.finish != "stop":
        return "unknown"
    try:
        # a sentence was asked for, so only an honoured format gives JSON
        value = json.loads(reply.text)
    except (ValueError, RecursionError):
        return "ignored"
    if kind == "json_object":
        return "honoured" if isinstance(value, dict) else "ignored"
    answers = value.get("answers") if isinstance(value, dict) else None
    is_kept = isinstance(answers, list) and set(value) == {"answers"} and all(answer in (0, 1) for answer in answers)
    return "honoured" if is_kept else "ignored"


def logprobs_heeded(reply: Reply) -> Heeded:
    alternatives = [len(seen) for _, seen in reply.token_logprobs or ()]
    return "honoured" if alternatives and max(alternatives) > 1 else "ignored"


def limit_heeded(reply: Reply) -> Heeded:
    if reply.usage.output_tokens > COUNT_TOKENS or len(reply.text) > _LONG_CHARACTERS:
        return "ignored"
    return "honoured" if reply.finish == "length" else "unknown"
