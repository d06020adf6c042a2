"""Contract checks of a judge's replies."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

from autointerp.errors import JudgeRejected
from autointerp.judges.kit.findings import Broken, NotAsked
from autointerp.judges.kit.interview import SCHEMA, Interview, explain_question, score_question
from autointerp.judges.reply_rules import find_words, short

__all__ = [
    "answers",
    "counts_usage",
    "explains",
    "honours_token_limit",
    "is_deterministic",
    "states_logprobs",
    "states_probabilities",
    "structures",
    "takes_samples",
]

SHORT_TOKENS = 16
_CHARACTERS_PER_TOKEN = 64
"""Above any vocabulary's average."""
_ROUNDING = 1e-3


async def answers(interview: Interview) -> str:
    reply = await interview.ask(score_question())
    if reply.finish == "stop" and not reply.text.strip():
        raise Broken("the reply is empty")
    return short(reply.text)


async def explains(interview: Interview) -> str:
    reply = await interview.ask(explain_question())
    if reply.finish == "stop" and not reply.text.strip():
        raise Broken("the reply is empty")
    return short(reply.text)


async def honours_token_limit(interview: Interview) -> str:
    request = explain_question(max_tokens=SHORT_TOKENS)
    try:
        reply = await interview.ask(request)
    except JudgeRejected as error:
        return f"so small a limit is rejected: {error}"
    n_tokens, n_characters = reply.usage.output_tokens, len(reply.text)
    if isinstance(n_tokens, int) and n_tokens > SHORT_TOKENS:
        raise Broken(f"{n_tokens} tokens came where {SHORT_TOKENS} were allowed")
    if n_characters > SHORT_TOKENS * _CHARACTERS_PER_TOKEN:
        raise Broken(f"{n_characters:,} characters came where {SHORT_TOKENS} tokens were allowed")
    return f"{n_tokens or 'uncounted'} tokens, {n_characters} characters, finish {reply.finish}"


async def is_deterministic(interview: Interview) -> str:
    if not interview.judge.capabilities.is_deterministic:
        raise NotAsked("not claimed")
    texts = {(await interview.ask(score_question())).text for _ in range(3)}
    if len(texts) > 1:
        raise Broken(f"{len(texts)} different answers to one question")
    return "3 equal answers"


async def structures(interview: Interview) -> str:
    """A reply keeps its JSON schema."""
    if not interview.judge.capabilities.has_schema:
        raise NotAsked("not claimed")
    reply = await interview.ask(replace(score_question(), reply_schema=SCHEMA))
    try:
        value = json.loads(reply.text)
    except ValueError:
        raise Broken(f"has_schema is claimed, but the reply is no JSON: {short(reply.text)}") from None
    if not _keeps_schema(value):
        raise Broken(f"has_schema is claimed, but the reply is no object of two answers, 0 or 1: {short(reply.text)}")
    return short(reply.text)


def _keeps_schema(value: Any) -> bool:
    # JSON's 1.0 is whole, true is not
    answers = value.get("answers") if isinstance(value, dict) and len(value) == 1 else None
    if not isinstance(answers, list) or len(answers) != 2:
        return False
    return all(answer in (0, 1) and not isinstance(answer, bool) for answer in answers)


async def states_logprobs(interview: Interview) -> str:
    """Log-probabilities of alternatives, or the answers' own probabilities."""
    if not interview.judge.capabilities.has_logprobs:
        raise NotAsked("not claimed")
    reply = await interview.ask(replace(score_question(), want_logprobs=True))
    tokens = reply.token_logprobs
    if not tokens and reply.probabilities:
        return "probabilities of the answers stand in their place"
    if not tokens:
        raise Broken("has_logprobs is claimed, but the reply has no token_logprobs")
    words = find_words(reply, score_question().task, "token_logprobs")
    if words is not None:
        raise Broken(words)
    for token, alternatives in tokens:
        total = math.fsum(math.exp(logprob) for logprob in alternatives.values())
        if total > 1.0 + _ROUNDING:
            raise Broken(f"token {short(token)}: the probabilities of its alternatives sum to {total:.3f}")
    if not any(entry[1] for entry in tokens):
        raise Broken("has_logprobs is claimed, but no token of the reply has alternatives")
    return f"{len(tokens)} tokens, {max(len(entry[1]) for entry in tokens)} alternatives at most"


async def takes_samples(interview: Interview) -> str:
    reply = await interview.ask(replace(score_question(), temperature=1.0, seed=7, sample=1))
    return short(reply.text)


async def states_probabilities(interview: Interview) -> str:
    given = [(request, reply) for request, reply in interview.replies if reply.probabilities is not None]
    for request, reply in given:
        words = find_words(reply, request.task, "probabilities")
        if words is not None:
            raise Broken(words)
    if not given:
        raise NotAsked("no reply stated any")
    return f"in {len(given)} of {len(interview.replies)} replies"


async def counts_usage(interview: Interview) -> str:
    for request, reply in interview.replies:
        words = find_words(reply, request.task, "model", "usage", "rate_limits")
        if words is not None:
            raise Broken(words)
    n_tokens = sum(reply.usage.output_tokens for _, reply in interview.replies)
    prices = [reply.usage.usd for _, reply in interview.replies if reply.usage.usd is not None]
    cost = f"${sum(prices):.4f}" if prices else "no price stated"
    return f"{n_tokens:,} tokens in {len(interview.replies)} replies, {cost}"
