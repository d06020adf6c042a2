"""What a reply must be, whoever gave it: one set of rules, for the kit that checks judges and for all replies of a run.

A reply without a text or a known finish is none, and the try has failed. What stands beside the text can be done
without: a breach there costs what is at fault and leaves the answer.
"""

from __future__ import annotations

import asyncio
import math
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, NamedTuple, TypeGuard

from autointerp.errors import JudgeError, JudgeRetry, RunStopped
from autointerp.judges.protocol import RateLimits, Reply, Usage
from autointerp.judges.tasks import ExplainTask, LikelihoodTask, ScoreTask, SimilarityTask, Task
from autointerp.runs.storable import storable_text
from autointerp.safe_text import without_keys_in_use

__all__ = [
    "ESSENTIAL",
    "MOST_USD",
    "Breach",
    "BrokenReply",
    "accept",
    "find_breaches",
    "find_words",
    "is_price",
    "judge_errors",
    "short",
]

ESSENTIAL = ("reply", "text", "finish")
"""The fields whose breach leaves nothing to be read."""
MOST_USD = 1_000.0
"""More than any one reply costs."""
_MOST_TOKENS = 10**9
_MOST_CHARACTERS = 10_000_000
_MOST_NUMBER = 1e15
_ROUNDING = 1e-3
_COUNTS = ("input_tokens", "output_tokens", "cached_tokens")
_MOST_WORDS = 300


class Breach(NamedTuple):
    """A rule that a reply breaks: which field of it, and how."""

    field: str
    words: str


class BrokenReply(JudgeRetry):
    """What came is no reply, or the judge failed in a way of its own: one try failed, and may have cost its price."""


def find_breaches(reply: Any, task: Task | None = None) -> Iterator[Breach]:
    """All that is wrong with the reply to a question; nothing more once a field that is `ESSENTIAL` is at fault."""
    if not isinstance(reply, Reply):
        yield Breach("reply", f"ask gave a {type(reply).__name__}, not a Reply")
        return
    if not isinstance(reply.text, str):
        yield Breach("text", f"the text of the reply is a {type(reply.text).__name__}, not a str")
        return
    if len(reply.text) > _MOST_CHARACTERS:
        yield Breach("text", f"the reply has {len(reply.text):,} characters, more than {_MOST_CHARACTERS:,}")
        return
    if reply.finish not in ("stop", "length", "refused"):
        yield Breach("finish", f"finish must be one of stop, length, refused, not {short(reply.finish)}")
        return
    if not isinstance(reply.model, str) or not reply.model or len(reply.model) > _MOST_CHARACTERS:
        yield Breach("model", f"the model of a reply is {short(reply.model)}; say who answered")
    yield from _usage_breaches(reply.usage)
    if reply.token_logprobs is not None and (words := _logprobs_breach(reply.token_logprobs)) is not None:
        yield Breach("token_logprobs", words)
    if reply.probabilities is not None and (words := _probabilities_breach(reply.probabilities, task)) is not None:
        yield Breach("probabilities", words)
    if reply.rate_limits is not None and not _are_limits(reply.rate_limits):
        yield Breach("rate_limits", f"rate_limits are {short(reply.rate_limits)}")


def find_words(reply: Any, task: Task | None, *names: str) -> str | None:
    """How a reply breaks a rule of one of these fields, None where it keeps them all."""
    return next((breach.words for breach in find_breaches(reply, task) if breach.field.split(".")[0] in names), None)


def accept(reply: Any, task: Task | None = None, *, model: str) -> tuple[Reply, tuple[Breach, ...]]:
    """The reply as a run keeps it, and what had to be left out: a count that is none is 0, a cost that is none is not
    known. `model` was asked, and stands in where the reply does not say who answered. Half characters, which a server
    may send escaped in JSON, become `?`, and a key that the server repeats is taken out.

    Raises BrokenReply where there is no answer to keep.
    """
    breaches = tuple(find_breaches(reply, task))
    for breach in breaches:
        if breach.field in ESSENTIAL:
            raise BrokenReply(f"the judge gave no usable reply: {breach.words}")
    without: dict[str, Any] = {b.field: None for b in breaches if "." not in b.field}
    if "model" in without:
        without["model"] = model
    usage = Usage() if "usage" in without else reply.usage
    for breach in breaches:
        name = breach.field.removeprefix("usage.")
        if name != breach.field:
            usage = replace(usage, **{name: None if name == "usd" else 0})
    kept = replace(reply, **{**without, "usage": usage})
    text, model = (without_keys_in_use(storable_text(said)) for said in (kept.text, kept.model))
    return replace(kept, text=text, model=model), breaches


@contextmanager
def judge_errors() -> Iterator[None]:
    """Whatever is raised inside leaves as an error that the protocol of judges knows.

    A judge may fail in any way (a KeyError, JSON too deep to read, a number too long): that is one try of one request.
    """
    try:
        yield
    except (JudgeError, RunStopped):
        raise
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise BrokenReply("the judge gave up its own work (CancelledError)") from None
    except Exception as error:  # noqa: BLE001  # a stranger's code may raise anything, and its reply may be paid for
        raise BrokenReply(_said(error)) from None


def is_price(usd: object) -> TypeGuard[float]:
    """Whether it is a number of dollars that can be meant."""
    return _is_number(usd) and 0.0 <= usd < math.inf


def short(value: object) -> str:
    """A value in a message. One that cannot be shown is named by its kind."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # an integer of more digits than Python writes out
        return f"a {type(value).__name__}"
    return text if len(text) <= 60 else text[:60] + "..."


def _usage_breaches(usage: Any) -> Iterator[Breach]:
    if not isinstance(usage, Usage):
        yield Breach("usage", f"the usage of a reply is a {type(usage).__name__}, not a Usage")
        return
    for name in _COUNTS:
        count = getattr(usage, name)
        if not isinstance(count, int) or not 0 <= count <= _MOST_TOKENS:
            yield Breach(f"usage.{name}", f"usage.{name} is {short(count)}")
    if usage.usd is not None and not (is_price(usage.usd) and usage.usd <= MOST_USD):
        yield Breach("usage.usd", f"usage.usd is {short(usage.usd)}")


def _logprobs_breach(tokens: Any) -> str | None:
    if not isinstance(tokens, tuple):
        return f"token_logprobs are {short(tokens)}"
    n_characters = 0
    for entry in tokens:
        if not (isinstance(entry, tuple) and len(entry) == 2):
            return f"an entry of token_logprobs is no pair of a token and its alternatives: {short(entry)}"
        token, alternatives = entry
        if not isinstance(token, str) or not isinstance(alternatives, Mapping):
            return f"token {short(token)} comes with a {type(alternatives).__name__}, not a mapping of alternatives"
        for text, logprob in alternatives.items():
            # NaN is not below anything; minus infinity is the logarithm of 0
            if not isinstance(text, str) or not isinstance(logprob, int | float) or not logprob <= _ROUNDING:
                return f"token {short(token)}: {short(text)} has the log-probability {short(logprob)}"
            if isinstance(logprob, int) and not _is_number(logprob):
                return f"token {short(token)}: {short(text)} has a log-probability of too many digits"
            n_characters += len(text)
        n_characters += len(token)
    if n_characters > _MOST_CHARACTERS:
        return f"token_logprobs hold {n_characters:,} characters, more than {_MOST_CHARACTERS:,}"
    return None


def _probabilities_breach(probabilities: Any, task: Task | None) -> str | None:
    n = None
    if isinstance(task, ScoreTask | SimilarityTask | LikelihoodTask):
        n = len(task.passages)
    elif isinstance(task, ExplainTask):
        n = 0
    if not isinstance(probabilities, tuple) or (n is not None and len(probabilities) != n):
        wanted = "one number per passage" if n is None else f"one number per passage ({n})"
        return f"probabilities must be a tuple of {wanted}, not {short(probabilities)}"
    for number in probabilities:
        if not isinstance(number, int | float) or not 0.0 <= number <= 1.0:
            return f"a probability is {short(number)}, outside 0 to 1"
    return None


def _are_limits(limits: Any) -> bool:
    """Whether all that is stated are numbers to reckon with."""
    if not isinstance(limits, RateLimits):
        return False
    stated = [getattr(limits, field.name) for field in fields(RateLimits)]
    return all(value is None or (_is_number(value) and abs(value) <= _MOST_NUMBER) for value in stated)


def _is_number(value: object) -> TypeGuard[float]:
    """Whether it is a number that a float can hold."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    try:
        return not math.isnan(float(value))
    except OverflowError:
        return False


def _said(error: Exception) -> str:
    """An error of somebody else's code on one short line, with the place it came from."""
    text = " ".join("".join(traceback.format_exception_only(error)).split())
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    return (text if len(text) <= _MOST_WORDS else text[:_MOST_WORDS] + "...") + place
