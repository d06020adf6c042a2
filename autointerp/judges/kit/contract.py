"""Contract kit for judges: small questions, one finding each; the answers' quality does not count."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import NamedTuple

from autointerp.judges.judge import Capabilities, Judge
from autointerp.judges.kit import conduct_checks as conduct
from autointerp.judges.kit import reply_checks as replies
from autointerp.judges.kit.findings import CheckResult, find
from autointerp.judges.kit.interview import WORDS, Interview

__all__ = ["FIRST_QUESTION", "CheckResult", "check_judge", "count_questions"]

FIRST_QUESTION = "a scoring question gets a reply"
"""Check on which all further questions depend."""


class _Check(NamedTuple):
    name: str
    run: Callable[[Interview], Awaitable[str]]
    n_questions: int = 1
    wants_reply: bool = True
    """Whether it needs a judge that has answered before."""


async def check_judge(
    judge: Judge,
    *,
    reopen: Callable[[], Judge] | None = None,
    unreachable: Judge | None = None,
    n_at_once: int = 4,
    is_thorough: bool | None = None,
    timeout_s: float = 60.0,
    moment_s: float = 5.0,
    block_s: float = 1.5,
    pause_s: float = 1.0,
) -> list[CheckResult]:
    """All findings, in a fixed order; closes the judge and lets none of its exceptions out.

    `reopen` makes the judge again; `unreachable` is the judge at a dead address; `n_at_once` is at most 8.
    `is_thorough` adds a prompt of a million characters (default: for local judges). Patience in seconds: `timeout_s`
    for an answer, `moment_s` for a cancelled one, `block_s` for a blocked event loop, `pause_s` before a repetition.
    """
    interview = Interview(judge, pause_s=pause_s)
    first = _Check("capabilities are stated", conduct.states_capabilities, 0)
    closing = _Check("closing twice is harmless", conduct.closes, wants_reply=False)
    probe = _Check("a probe finds out what is honoured", conduct.probes, 10, wants_reply=False)
    results = [await _find(probe, interview, timeout_s), await _find(first, interview, timeout_s)]
    if interview.stated is None:
        return [*results, await _find(closing, interview, timeout_s)]
    checks = [
        *_asking(interview.stated, n_at_once, is_thorough, moment_s),
        _Check("the event loop is left free", partial(conduct.leaves_loop_free, block_s=block_s)),
        _Check("probabilities are one per text, 0 to 1", replies.states_probabilities),
        _Check("replies say who answered at what cost", replies.counts_usage),
        _Check("capabilities stay the same", conduct.stays_the_same),
        _Check(
            "errors are mapped: dead endpoint", lambda _: conduct.maps_no_connection(unreachable), wants_reply=False
        ),
        _Check("it answers in a second event loop", lambda _: conduct.answers_elsewhere(reopen, timeout_s)),
        closing,
    ]
    async with interview.watched():
        for check in checks:
            is_asked = interview.replies or not check.wants_reply
            unasked = CheckResult(check.name, None, "not asked: there was no reply to the first question")
            results.append(await _find(check, interview, timeout_s) if is_asked else unasked)
    return results


def count_questions(stated: Capabilities, *, n_at_once: int = 4, is_thorough: bool | None = None) -> int:
    """Questions to a passing judge, with `reopen`, without probing."""
    return sum(check.n_questions for check in _asking(stated, n_at_once, is_thorough, 0.0)) + 1


def _asking(stated: Capabilities, n_at_once: int, is_thorough: bool | None, moment_s: float) -> list[_Check]:
    """Checks that put questions."""
    n_at_once = min(n_at_once, len(WORDS))
    is_deterministic = bool(stated.is_deterministic)
    # a million characters may cost money
    is_thorough = bool(stated.is_local) if is_thorough is None else is_thorough
    odd = {kind: partial(conduct.survives, request=conduct.odd_question(kind)) for kind in ("empty", "half characters")}
    return [
        _Check(FIRST_QUESTION, replies.answers, wants_reply=False),
        _Check("an explaining question gets a reply", replies.explains),
        _Check("the request is left as it was", conduct.leaves_request),
        _Check("the token limit is honoured", replies.honours_token_limit),
        _Check("the same question gets the same answer", replies.is_deterministic, 3 * is_deterministic),
        _Check("a structured reply keeps its schema", replies.structures, int(bool(stated.has_schema))),
        _Check("log-probabilities are well-formed", replies.states_logprobs, int(bool(stated.has_logprobs))),
        _Check("a repeated question is taken", replies.takes_samples),
        _Check(
            "questions at once get an answer each",
            partial(conduct.answers_each_its_own, n_at_once=n_at_once),
            n_at_once * (1 + is_deterministic),
        ),
        _Check("a time-out is honoured", partial(conduct.can_be_abandoned, moment_s=moment_s), 2),
        _Check("errors are mapped: empty question", odd["empty"]),
        _Check("errors are mapped: half characters", odd["half characters"]),
        _Check(
            "errors are mapped: huge question",
            partial(conduct.survives_huge, is_thorough=is_thorough),
            int(is_thorough),
        ),
    ]


async def _find(check: _Check, interview: Interview, timeout_s: float) -> CheckResult:
    return await find(check.name, lambda: check.run(interview), limit_s=timeout_s * max(1, check.n_questions))
