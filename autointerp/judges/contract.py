"""The kit any judge must pass, ours or a stranger's: what the rest of the package relies on, asked one by one.

It takes an open judge, puts a dozen small questions to it and reports each finding as a row. It does not judge
how good the answers are.
"""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from autointerp.errors import AutointerpError, JudgeError
from autointerp.judges.protocol import Judge, Message, Reply, Request
from autointerp.judges.tasks import Passage, ScoreTask

__all__ = ["CheckResult", "check_judge"]

_CHARACTERS_PER_TOKEN = 64
"""Longer than any vocabulary's tokens are on average."""

_SCHEMA = {
    "type": "object",
    "properties": {"answers": {"type": "array", "items": {"type": "integer", "enum": [0, 1]}}},
    "required": ["answers"],
    "additionalProperties": False,
}


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One finding. `detail` says what was seen; `is_passed` is None where the check does not apply."""

    name: str
    is_passed: bool | None
    detail: str


class _Broken(Exception):
    """The judge does not keep the contract; the message says how."""


async def check_judge(judge: Judge, *, timeout_s: float = 60.0, n_concurrent: int = 4) -> list[CheckResult]:
    """All findings, in a fixed order. The judge is closed afterwards.

    An error of this package that is none of the judge's (a wrong option) is a finding as well.
    """
    checks: list[tuple[str, Callable[[Judge, float], Awaitable[str | None]]]] = [
        ("capabilities are stated", _states_capabilities),
        ("a scoring task gets a reply of text", _answers),
        ("the request is left as it was", _leaves_request),
        ("the token limit is honoured", _honours_token_limit),
        ("the same question at temperature 0 gets the same answer", _is_deterministic),
        ("a structured reply is JSON", _structures),
        (f"{n_concurrent} questions at once get an answer each", lambda j, t: _is_concurrent(j, t, n_concurrent)),
        ("a question can be abandoned", _can_be_abandoned),
        ("failures are this package's errors", _maps_errors),
        ("closing twice is harmless", _closes),
    ]
    return [await _result(name, check, judge, timeout_s) for name, check in checks]


async def _result(
    name: str, check: Callable[[Judge, float], Awaitable[str | None]], judge: Judge, timeout_s: float
) -> CheckResult:
    try:
        async with asyncio.timeout(timeout_s * 4):
            detail = await check(judge, timeout_s)
    except _Broken as broken:
        return CheckResult(name, False, str(broken))
    except TimeoutError:
        return CheckResult(name, False, f"nothing came back within {timeout_s * 4:g} s")
    except AutointerpError as error:
        return CheckResult(name, False, f"{type(error).__name__}: {error}")
    except (ArithmeticError, AttributeError, LookupError, OSError, RuntimeError, TypeError, ValueError) as error:
        return CheckResult(name, False, f"{type(error).__name__} is no error of this package: {error}")
    return CheckResult(name, None if detail is None else True, detail or "not claimed")


def _request(explanation: str = "the word cat", *, max_tokens: int = 200) -> Request:
    passages = (Passage("The cat sat on the mat."), Passage("Rain fell all day."))
    task = ScoreTask(explanation, passages)
    prompt = (
        f"A pattern: {explanation}. For each numbered text say 1 if the pattern occurs in it and 0 if not. "
        f"Reply with a JSON list of 0 and 1 only.\n1. {passages[0].text}\n2. {passages[1].text}"
    )
    return Request(task, (Message("user", prompt),), max_tokens=max_tokens)


def _reply(value: object) -> Reply:
    if not isinstance(value, Reply):
        raise _Broken(f"ask gave a {type(value).__name__}, not a Reply")
    if not isinstance(value.text, str) or value.finish not in ("stop", "length", "refused"):
        raise _Broken(f"text must be a str and finish one of stop, length, refused, not {value.finish!r}")
    return value


async def _states_capabilities(judge: Judge, timeout_s: float) -> str:
    stated = judge.capabilities
    if not stated.endpoint or not stated.model:
        raise _Broken("endpoint and model are part of every cache key and must not be empty")
    if stated.max_concurrent < 1:
        raise _Broken(f"max_concurrent is {stated.max_concurrent}")
    return f"{stated.model} at {stated.endpoint}"


async def _answers(judge: Judge, timeout_s: float) -> str:
    reply = _reply(await judge.ask(_request()))
    if reply.finish == "stop" and not reply.text.strip():
        raise _Broken("the reply is empty")
    return repr(reply.text[:60])


async def _leaves_request(judge: Judge, timeout_s: float) -> str:
    request = replace(_request(), reply_schema=copy.deepcopy(_SCHEMA))
    before = copy.deepcopy(request)
    await judge.ask(request)
    if request != before:
        raise _Broken("ask changed its request")
    return "unchanged"


async def _honours_token_limit(judge: Judge, timeout_s: float) -> str:
    request = _request(max_tokens=16)
    reply = _reply(await judge.ask(request))
    if reply.usage.output_tokens > request.max_tokens:
        raise _Broken(f"{reply.usage.output_tokens} tokens came where {request.max_tokens} were allowed")
    if len(reply.text) > request.max_tokens * _CHARACTERS_PER_TOKEN:
        raise _Broken(f"{len(reply.text)} characters came where {request.max_tokens} tokens were allowed")
    return f"{reply.usage.output_tokens or 'uncounted'} tokens, {len(reply.text)} characters"


async def _is_deterministic(judge: Judge, timeout_s: float) -> str | None:
    if not judge.capabilities.is_deterministic:
        return None
    texts = {_reply(await judge.ask(_request())).text for _ in range(3)}
    if len(texts) > 1:
        raise _Broken(f"{len(texts)} different answers to one question")
    return "3 equal answers"


async def _structures(judge: Judge, timeout_s: float) -> str | None:
    if not judge.capabilities.has_schema:
        return None
    reply = _reply(await judge.ask(replace(_request(), reply_schema=_SCHEMA)))
    try:
        json.loads(reply.text)
    except ValueError:
        raise _Broken(f"has_schema is claimed, but the reply is no JSON: {reply.text[:60]!r}") from None
    return repr(reply.text[:60])


async def _is_concurrent(judge: Judge, timeout_s: float, n_concurrent: int) -> str:
    replies = await asyncio.gather(*(judge.ask(_request(f"the word w{i}")) for i in range(n_concurrent)))
    return f"{sum(bool(_reply(reply).text) for reply in replies)} of {n_concurrent} with text"


async def _can_be_abandoned(judge: Judge, timeout_s: float) -> str:
    """A time-out is kept from outside by cancelling, so a judge must let itself be cancelled and live on."""
    task = asyncio.ensure_future(judge.ask(_request("the word abandoned")))
    await asyncio.sleep(0)
    task.cancel()
    done, _ = await asyncio.wait([task], timeout=timeout_s)
    if not done:
        raise _Broken(f"a cancelled question still ran after {timeout_s:g} s")
    _reply(await judge.ask(_request()))
    return "ended, and the next question was answered"


async def _maps_errors(judge: Judge, timeout_s: float) -> str:
    """A question with nothing in it: an answer will do, and so will an error of ours."""
    empty = Request(ScoreTask("", ()), (Message("user", ""),), max_tokens=1)
    try:
        _reply(await judge.ask(empty))
    except JudgeError as error:
        return f"an empty question got {type(error).__name__}"
    return "an empty question got a reply"


async def _closes(judge: Judge, timeout_s: float) -> str:
    await judge.aclose()
    await judge.aclose()
    return "closed"
