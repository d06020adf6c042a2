"""Batches of questions for an engine in its own thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

from autointerp.errors import JudgeStopped

__all__ = ["Batcher", "Waiting"]

Question = TypeVar("Question")
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Waiting(Generic[Question]):
    question: Question
    future: asyncio.Future[object]

    @property
    def is_abandoned(self) -> bool:
        """Readable from the engine's thread."""
        return self.future.cancelled()


class Batcher(Generic[Question, Answer]):
    """Collects questions until `size` wait or none came for `quiet_s`.

    `answer(batch)` runs in one worker thread and gives (index in the batch, answer or error) as they come; an exception
    goes to all questions left. For one event loop at a time.
    """

    def __init__(
        self,
        answer: Callable[[Sequence[Waiting[Question]]], Iterable[tuple[int, Answer | Exception]]],
        *,
        size: int,
        quiet_s: float,
        name: str,
    ) -> None:
        self._answer, self._size, self._quiet_s = answer, size, quiet_s
        self._name = name
        self._thread: ThreadPoolExecutor | None = None
        self._waiting: list[Waiting[Question]] = []
        self._arrived = asyncio.Event()
        self._runner: asyncio.Task[None] | None = None
        self._is_closed = False

    @property
    def is_closed(self) -> bool:
        """Readable from the engine's thread."""
        return self._is_closed

    async def ask(self, question: Question) -> Answer:
        """Raises the question's error, JudgeStopped once closed."""
        if self._is_closed:
            raise JudgeStopped(f"judge '{self._name}' was closed")
        if self._runner is None or self._runner.done():  # none yet, or one that an earlier event loop took with it
            self._waiting.clear()
            self._arrived = asyncio.Event()
            self._runner = asyncio.ensure_future(self._run())
        waiting: Waiting[Question] = Waiting(question, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        self._arrived.set()
        return await waiting.future  # type: ignore[return-value]

    async def aclose(self, last: Callable[[], None] | None = None) -> None:
        """Finish the current batch, then run `last` in the engine's thread; idempotent."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._runner is not None and not self._runner.done():
            self._arrived.set()
            await asyncio.wait([self._runner])
        if self._thread is not None:
            if last is not None:
                await asyncio.get_running_loop().run_in_executor(self._thread, last)
            self._thread.shutdown(wait=False)

    async def _run(self) -> None:
        try:
            while self._waiting and not self._is_closed:
                await self._gather()
                batch = [waiting for waiting in self._waiting[: self._size] if not waiting.is_abandoned]
                del self._waiting[: self._size]
                if batch:
                    await self._answer_batch(batch)
        finally:
            for waiting in self._waiting:
                _settle(waiting.future, JudgeStopped(f"judge '{self._name}' was closed"))
            self._waiting.clear()

    async def _gather(self) -> None:
        while len(self._waiting) < self._size and not self._is_closed:
            self._arrived.clear()
            try:
                await asyncio.wait_for(self._arrived.wait(), timeout=self._quiet_s)
            except TimeoutError:
                return

    async def _answer_batch(self, batch: list[Waiting[Question]]) -> None:
        if self._thread is None:
            self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=self._name)
        loop = asyncio.get_running_loop()

        def answer() -> None:
            for index, answer in self._answer(batch):
                loop.call_soon_threadsafe(_settle, batch[index].future, answer)

        answering = loop.run_in_executor(self._thread, answer)
        await asyncio.wait([answering])
        error = answering.exception() or JudgeStopped(f"judge '{self._name}' left a question unanswered")
        for waiting in batch:
            _settle(waiting.future, error)


def _settle(future: asyncio.Future[object], answer: object) -> None:
    if future.done():
        return
    if isinstance(answer, BaseException):
        future.set_exception(answer)
    else:
        future.set_result(answer)
