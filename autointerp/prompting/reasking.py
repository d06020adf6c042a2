"""Repeating a question after unreadable replies, within the same conversation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from autointerp.judges.judge import Message, Reply, Request
from autointerp.prompting.reasoning import blank_reasoning
from autointerp.prompting.templates import Prompt

__all__ = ["reask"]

_LONGEST_REPEAT = 2000
"""Characters of a reply repeated to the judge."""
_NOTHING = "(nothing)"
"""Some servers refuse empty messages and two user messages in a row."""


def reask(
    request: Request, replies: Sequence[Reply], *, prompt: Prompt, describe: Callable[[Reply], Mapping[str, object]]
) -> Request:
    """Request with all replies so far, each followed by `prompt` with the values of `describe(reply)`."""
    messages = list(request.messages)
    for reply in replies:
        messages += [Message("assistant", _repeat(reply.text)), *prompt.render(**describe(reply))]
    return replace(request, messages=tuple(messages))


def _repeat(text: str) -> str:
    """Reply without reasoning, shortened in the middle."""
    text = blank_reasoning(text).strip()
    if len(text) > _LONGEST_REPEAT:
        text = f"{text[: _LONGEST_REPEAT // 2]} [...] {text[-(_LONGEST_REPEAT // 2) :]}"
    return text or _NOTHING
