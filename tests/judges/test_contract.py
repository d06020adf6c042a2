"""The kit finds each breach of the contract."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from autointerp.judges.contract import CheckResult, check_judge
from autointerp.judges.protocol import Capabilities, Reply, Request, Usage


class Fine:
    """Keeps the contract; tests break it in one place each."""

    def __init__(self, **capabilities: Any) -> None:
        self.capabilities = Capabilities(**{"endpoint": "e", "model": "m", **capabilities})
        self.n_asked = 0

    async def ask(self, request: Request) -> Reply:
        self.n_asked += 1
        await asyncio.sleep(0)
        return self.reply(request)

    def reply(self, request: Request) -> Any:
        return Reply("[1, 0]", "m")

    async def aclose(self) -> None: ...


class Mutating(Fine):
    def reply(self, request: Request) -> Any:
        if request.reply_schema is not None:
            request.reply_schema["strict"] = True  # type: ignore[index]
        return Reply("[1, 0]", "m")


class Long(Fine):
    def reply(self, request: Request) -> Any:
        return Reply("[1, 0]", "m", usage=Usage(1, request.max_tokens + 1))


class Chatty(Fine):
    def reply(self, request: Request) -> Any:
        return Reply("x" * 100_000, "m")


class Fickle(Fine):
    def reply(self, request: Request) -> Any:
        return Reply(f"[{self.n_asked}]", "m")


class Textless(Fine):
    def reply(self, request: Request) -> Any:
        return "[1, 0]"


class Raising(Fine):
    def reply(self, request: Request) -> Any:
        raise KeyError("choices")


class Deaf(Fine):
    """Swallows cancellation and goes on."""

    async def ask(self, request: Request) -> Reply:
        for _ in range(60):
            try:
                await asyncio.sleep(0.005)
            except asyncio.CancelledError:
                continue
        return Reply("[1, 0]", "m")


class Fragile(Fine):
    n_closed = 0

    async def aclose(self) -> None:
        self.n_closed += 1
        if self.n_closed > 1:
            raise RuntimeError("already closed")


def failed(judge: Any, timeout_s: float = 5.0) -> dict[str, CheckResult]:
    return {r.name: r for r in asyncio.run(check_judge(judge, timeout_s=timeout_s)) if r.is_passed is False}


def test_a_judge_that_keeps_it_passes_and_what_is_not_claimed_is_not_checked() -> None:
    results = asyncio.run(check_judge(Fine()))
    assert all(result.is_passed is not False for result in results)
    assert [result.name for result in results if result.is_passed is None] == [
        "the same question at temperature 0 gets the same answer",
        "a structured reply is JSON",
    ]


@pytest.mark.parametrize(
    ("judge", "name"),
    [
        (Fine(endpoint=""), "capabilities are stated"),
        (Mutating(), "the request is left as it was"),
        (Long(), "the token limit is honoured"),
        (Chatty(), "the token limit is honoured"),
        (Fickle(is_deterministic=True), "the same question at temperature 0 gets the same answer"),
        (Textless(), "a scoring task gets a reply of text"),
        (Raising(), "failures are this package's errors"),
        (Fragile(), "closing twice is harmless"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Fine) else "",
)
def test_each_breach_is_found(judge: Fine, name: str) -> None:
    assert name in failed(judge)


def test_a_false_claim_of_structure_is_found() -> None:
    class Prose(Fine):
        def reply(self, request: Request) -> Any:
            return Reply("Yes, the first.", "m")

    assert set(failed(Prose(has_schema=True))) == {"a structured reply is JSON"}


def test_a_judge_that_cannot_be_abandoned_is_found() -> None:
    assert "a question can be abandoned" in failed(Deaf(), timeout_s=0.05)
