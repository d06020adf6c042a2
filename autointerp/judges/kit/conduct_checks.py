"""Contract checks of a judge's conduct."""

from __future__ import annotations

import asyncio
import copy
import json
import re
import time
from collections.abc import Callable
from dataclasses import replace

from autointerp.errors import JudgeError, JudgeRejected, RunStopped
from autointerp.judges.endpoint.probing import Probed
from autointerp.judges.engine.budget import Budget
from autointerp.judges.judge import Capabilities, Judge, Message, Reply, Request
from autointerp.judges.kit.findings import Broken, NotAsked
from autointerp.judges.kit.interview import SCHEMA, WORDS, Interview, score_question
from autointerp.judges.tasks import Passage, ScoreTask

__all__ = [
    "answers_each_its_own",
    "answers_elsewhere",
    "can_be_abandoned",
    "closes",
    "leaves_loop_free",
    "leaves_request",
    "maps_no_connection",
    "odd_question",
    "probes",
    "states_capabilities",
    "stays_the_same",
    "survives",
    "survives_huge",
]

UNDER_WAY_S = 0.02

HUGE_CHARACTERS = 1_000_000

_LIST = re.compile(r"\[([01](?:\s*,\s*[01])*)\]")


async def probes(interview: Interview) -> str:
    """Probing finds out what the endpoint honours."""
    if not isinstance(interview.judge, Probed):
        raise NotAsked("it has no probe")
    said: list[str] = []
    await interview.judge.probe(run=None, cache=None, budget=Budget(), say=said.append)
    return "; ".join(said) or "nothing to find out"


async def states_capabilities(interview: Interview) -> str:
    stated = interview.judge.capabilities
    if not isinstance(stated, Capabilities):
        raise Broken(f"capabilities are a {type(stated).__name__}, not Capabilities")
    interview.stated = stated
    for field in ("endpoint", "model", "variant"):
        if not isinstance(getattr(stated, field), str):
            raise Broken(f"{field} is {getattr(stated, field)!r}, no text")
    if not stated.endpoint or not stated.model:
        raise Broken("endpoint and model are part of every cache key and must not be empty")
    if not isinstance(stated.max_concurrent, int) or stated.max_concurrent < 1:
        raise Broken(f"max_concurrent is {stated.max_concurrent!r}")
    return f"{stated.model} at {stated.endpoint}"


async def leaves_request(interview: Interview) -> str:
    """Requests stay unchanged: the journal hashes them after asking."""
    request = replace(score_question(), reply_schema=copy.deepcopy(dict(SCHEMA)))
    before = copy.deepcopy(request)
    await interview.ask(request)
    if request != before:
        raise Broken("ask changed its request")
    return "unchanged"


async def answers_each_its_own(interview: Interview, n_at_once: int) -> str:
    """Questions at once each get their own answer: a deterministic judge's as one by one, others' in the right
    place.
    """
    words = WORDS[:n_at_once]
    requests = [score_question(word, words=words) for word in words]
    alone_s = 0.0
    alone: list[Reply] = []
    if interview.judge.capabilities.is_deterministic:
        start = time.perf_counter()
        alone = [await interview.ask(request) for request in requests]
        alone_s = time.perf_counter() - start
    start = time.perf_counter()
    together = await asyncio.gather(*(interview.ask(request) for request in requests))
    took = f"{n_at_once} at once in {time.perf_counter() - start:.2f} s"
    if alone:
        wrong = [word for word, one, other in zip(words, alone, together, strict=True) if one.text != other.text]
        if wrong:
            raise Broken(f"the question about '{wrong[0]}' gets another answer when {n_at_once} are asked at once")
        return f"{took}, one by one in {alone_s:.2f} s, the same answers"
    places = [_place(reply.text, n_at_once) for reply in together]
    if None not in places and sorted(map(str, places)) == sorted(map(str, range(n_at_once))):
        if places != list(range(n_at_once)):
            raise Broken("the answers are right, but they went to the wrong questions")
        return f"{took}, each its own answer"
    return f"{took}; whose answer is whose cannot be told"


async def can_be_abandoned(interview: Interview, moment_s: float) -> str:
    """A cancelled question ends at once; the next is answered as before."""
    task = asyncio.ensure_future(interview.ask_once(score_question(WORDS[-1])))
    await asyncio.sleep(UNDER_WAY_S)
    was_out = not task.done()
    # time-outs are kept from outside, by cancelling
    task.cancel()
    done, _ = await asyncio.wait([task], timeout=moment_s)
    if not done:
        raise Broken(f"a cancelled question still ran after {moment_s:g} s")
    error = None if task.cancelled() else task.exception()
    if error is not None and was_out:
        raise Broken(f"a cancelled question must end as cancelled, not with {type(error).__name__}: {error}")
    reply = await interview.ask(score_question())
    first = next((known for request, known in interview.replies if request == score_question()), None)
    if interview.judge.capabilities.is_deterministic and first is not None and first.text != reply.text:
        raise Broken("the question after one that was abandoned got another answer than before")
    return f"{'ended' if was_out else 'was answered before it could be'}, and the next question was answered"


async def survives_huge(interview: Interview, is_thorough: bool) -> str:
    if not is_thorough:
        raise NotAsked("a paid endpoint might charge for it; ask with --thorough")
    return await survives(interview, odd_question("huge"))


async def survives(interview: Interview, request: Request) -> str:
    """An odd question gets an answer or a failure of its own."""
    try:
        reply = interview.keep(request, await interview.ask_once(request))
    except JudgeError as error:
        return f"{type(error).__name__}: {error}"
    except RunStopped as error:
        raise Broken(f"one odd question would end the whole run ({type(error).__name__}: {error})") from None
    return f"a reply, finish {reply.finish}"


def odd_question(kind: str) -> Request:
    """Question that is `empty`, `huge` or has `half characters` (unpaired surrogates)."""
    text = {"empty": "", "half characters": "\ud83d half a face", "huge": "word " * (HUGE_CHARACTERS // 5)}[kind]
    passages = () if kind == "empty" else (Passage(text),)
    return Request(ScoreTask(text[:40], passages), (Message("user", text),), max_tokens=16)


async def maps_no_connection(unreachable: Judge | None) -> str:
    """An unreachable address is not blamed on the question."""
    if unreachable is None:
        raise NotAsked("it has no address that could be wrong")
    try:
        await unreachable.ask(score_question())
    except JudgeRejected as error:
        raise Broken(f"a dead endpoint must not be blamed on the question (JudgeRejected: {error})") from None
    except (JudgeError, RunStopped) as error:
        return f"{type(error).__name__}: {error}"
    finally:
        await unreachable.aclose()
    raise NotAsked("it answered all the same: no address of its options is used")


async def leaves_loop_free(interview: Interview, block_s: float) -> str:
    """No question blocked the event loop."""
    if interview.held_s > block_s:
        raise Broken(f"the event loop stood still for {interview.held_s:.2f} s: await what is slow, or use a thread")
    return f"held for {interview.held_s * 1e3:.0f} ms at most"


async def stays_the_same(interview: Interview) -> str:
    """Capabilities, part of every cache key, do not change."""
    if interview.judge.capabilities != interview.stated:
        raise Broken(f"capabilities changed while the judge was asked, to {interview.judge.capabilities}")
    return "unchanged"


async def closes(interview: Interview) -> str:
    await interview.judge.aclose()
    await interview.judge.aclose()
    return "closed twice"


async def answers_elsewhere(reopen: Callable[[], Judge] | None, timeout_s: float) -> str:
    """Works in a second event loop, one per stage of a run."""
    if reopen is None:
        raise NotAsked("there is no way to make it a second time")

    async def ask() -> Reply:
        judge = reopen()
        try:  # the time-out is kept in there, too, since a thread cannot be cancelled
            async with asyncio.timeout(timeout_s):
                return await Interview(judge).ask(score_question())
        finally:
            await judge.aclose()

    reply = await asyncio.to_thread(lambda: asyncio.run(ask()))
    return f"finish {reply.finish}"


def _place(text: str, n: int) -> int | None:
    """Position of the only 1 in the last list of `n` answers."""
    lists = [json.loads(match[0]) for match in _LIST.finditer(text)]
    return lists[-1].index(1) if lists and len(lists[-1]) == n and sum(lists[-1]) == 1 else None
