"""Rules for replies, in a run and in the judge kit.

Without text or a known finish the attempt failed; other faulty fields are dropped.
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
from autointerp.judges.judge import RateLimits, Reply, Usage
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
"""Fields without which nothing can be read."""
MOST_USD = 1_000.0
"""Upper bound on the cost of one reply."""
_MOST_TOKENS = 10**9
_MOST_CHARACTERS = 10_000_000
_MOST_NUMBER = 1e15
_ROUNDING = 1e-3
_COUNTS = ("input_tokens", "output_tokens", "cached_tokens")
_MOST_WORDS = 300


class Breach(NamedTuple):
    field: str
    words: str


class BrokenReply(JudgeRetry):
    """An unusable reply or a judge's own error; it may have cost its price."""


def find_breaches(reply: Any, task: Task | None = None) -> Iterator[Breach]:
    """Ends at the first fault of an `ESSENTIAL` field."""
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
    """First fault in the named fields."""
    return next((breach.words for breach in find_breaches(reply, task) if breach.field.split(".")[0] in names), None)


def accept(reply: Any, task: Task | None = None, *, model: str) -> tuple[Reply, tuple[Breach, ...]]:
    """The reply without faulty fields (counts 0, cost None, `model` as asked), and the faults.

    Unpaired surrogates become `?`; keys repeated by the server are removed. Raises BrokenReply where no answer is left.
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
    """Turn every exception into an error of the judge protocol."""
    try:
        yield
    except (JudgeError, RunStopped):
        raise
    except asyncio.CancelledError:
        # our own cancellation passes; one that the judge raised is its failure
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise BrokenReply("the judge gave up its own work (CancelledError)") from None
    except Exception as error:  # noqa: BLE001  # a stranger's code may raise anything, and its reply may be paid for
        raise BrokenReply(_said(error)) from None


def is_price(usd: object) -> TypeGuard[float]:
    return _is_number(usd) and 0.0 <= usd < math.inf


def short(value: object) -> str:
    """A value for a message."""
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
    if not isinstance(limits, RateLimits):
        return False
    stated = [getattr(limits, field.name) for field in fields(RateLimits)]
    return all(value is None or (_is_number(value) and abs(value) <= _MOST_NUMBER) for value in stated)


def _is_number(value: object) -> TypeGuard[float]:
    """Whether a float can hold the value."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    try:
        return not math.isnan(float(value))
    except OverflowError:
        return False


def _said(error: Exception) -> str:
    """A foreign error on one line, with its place."""
    text = " ".join("".join(traceback.format_exception_only(error)).split())
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    return (text if len(text) <= _MOST_WORDS else text[:_MOST_WORDS] + "...") + place
