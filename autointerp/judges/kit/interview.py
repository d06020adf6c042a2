"""One judge under check: questions, replies, longest block of the event loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from autointerp.errors import JudgeRetry
from autointerp.judges.judge import Capabilities, Judge, Message, Reply, Request
from autointerp.judges.kit.findings import Broken
from autointerp.judges.reply_rules import ESSENTIAL, find_words
from autointerp.judges.tasks import ExplainTask, Passage, ScoreTask, ShownWindow

__all__ = ["SCHEMA", "WORDS", "Interview", "explain_question", "score_question"]

WORDS = ("lantern", "harbour", "pepper", "saddle", "kettle", "falcon", "orchard", "velvet")

_TICK_S = 0.01
_MAX_TRIES = 3
_SHOWN = 80
_MAX_PAUSE_S = 20.0

SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "answers": {"type": "array", "items": {"type": "integer", "enum": [0, 1]}, "minItems": 2, "maxItems": 2}
    },
    "required": ["answers"],
    "additionalProperties": False,
}


class Interview:
    def __init__(self, judge: Judge, *, pause_s: float = 1.0) -> None:
        """`pause_s`: wait before a question is repeated."""
        self.judge = judge
        self.stated: Capabilities | None = None
        """Capabilities at the start, once checked."""
        self.replies: list[tuple[Request, Reply]] = []
        self.n_asked = 0
        self.held_s = 0.0
        """Longest block of the event loop, in seconds."""
        self._pause_s = pause_s

    async def ask(self, request: Request) -> Reply:
        """Repeated after passing failures. Raises Broken for anything but a Reply."""
        for n_tries in range(1, _MAX_TRIES + 1):
            try:
                return self.keep(request, await self.ask_once(request))
            except JudgeRetry as error:
                if n_tries == _MAX_TRIES or error.is_connection:
                    raise
                await asyncio.sleep(min(error.retry_after_s or self._pause_s * n_tries, _MAX_PAUSE_S))
        raise AssertionError("unreachable")

    async def ask_once(self, request: Request) -> Reply:
        self.n_asked += 1
        try:
            return await self.judge.ask(request)
        except Exception as error:
            note = f"asked: {_in_short(request)}"
            if note not in getattr(error, "__notes__", ()):
                error.add_note(note)
            raise

    def keep(self, request: Request, reply: object) -> Reply:
        """Check a reply's form and remember it."""
        words = find_words(reply, request.task, *ESSENTIAL)
        if words is not None:
            raise Broken(words)
        assert isinstance(reply, Reply)
        self.replies.append((request, reply))
        return reply

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Measure blocks of the event loop."""
        # a late tick shows how long something kept the loop from running
        ticker = asyncio.ensure_future(self._tick())
        await asyncio.sleep(0)
        try:
            yield
        finally:
            await asyncio.sleep(0)
            ticker.cancel()

    async def _tick(self) -> None:
        while True:
            before = time.perf_counter()
            await asyncio.sleep(_TICK_S)
            self.held_s = max(self.held_s, time.perf_counter() - before - _TICK_S)


def _in_short(request: Request) -> str:
    said = " ".join(request.messages[-1].content.split()) if request.messages else ""
    shown = said if len(said) <= _SHOWN else f"{said[:_SHOWN]}..."
    settings = f"max_tokens {request.max_tokens}, temperature {request.temperature:g}"
    return f"{type(request.task).__name__} of {len(said):,} characters, {settings}: {shown!r}"


def score_question(
    word: str = "lantern", *, words: Sequence[str] = WORDS[:2], max_tokens: int = 200, **settings: Any
) -> Request:
    """Does `word` occur in a text about each of `words`?"""
    passages = tuple(Passage(f"Nobody had seen the {other} since the winter.") for other in words)
    numbered = "\n".join(f"{number}. {passage.text}" for number, passage in enumerate(passages, 1))
    prompt = (
        f'A pattern: "{word}". For each numbered text say 1 if the pattern occurs in it and 0 if not. Reply with one '
        f'JSON object and nothing else, one entry per text: {{"answers": [...]}}\n{numbered}'
    )
    return Request(ScoreTask(f'"{word}"', passages), (Message("user", prompt),), max_tokens=max_tokens, **settings)


def explain_question(*, max_tokens: int = 200) -> Request:
    """Short to answer, but inviting a long answer."""
    shown = tuple(
        ShownWindow(("The", " lantern", end), (0.0, 3.0, 0.0)) for end in (" was lit.", " fell down.", " hung there.")
    )
    task = ExplainTask(windows=shown, silent_windows=(), top_logits=(), bottom_logits=())
    prompt = (
        "A detector reacts to the word between << and >>. Texts: The <<lantern>> was lit. The <<lantern>> fell down. "
        "The <<lantern>> hung there. Discuss at length, in ten paragraphs, what it may react to; end with one line "
        "that begins with [EXPLANATION]: and says it briefly."
    )
    return Request(task, (Message("user", prompt),), max_tokens=max_tokens)
