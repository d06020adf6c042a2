"""The seam between this package and whoever answers: one method, `ask`.

Everything that surrounds a question (retries, limits, budget, journal) wraps a judge from outside, so a judge
knows only how to put one request to its endpoint and to map that endpoint's failures to this package's errors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from autointerp.judges.tasks import Task

__all__ = ["Capabilities", "Judge", "Message", "RateLimits", "Reply", "Request", "Usage"]


@dataclass(frozen=True, slots=True)
class Message:
    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class Request:
    """One question. `messages` put `task` into words; `sample` tells repeated identical questions apart.

    `reply_schema` is the JSON schema of the reply wanted, or None for free text. `max_tokens` bounds the reply.
    """

    task: Task
    messages: tuple[Message, ...]
    max_tokens: int
    temperature: float = 0.0
    seed: int | None = None
    reply_schema: Mapping[str, Any] | None = None
    want_logprobs: bool = False
    sample: int = 0


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens a reply cost, as the endpoint counted them; `usd` only where the endpoint or the config states a price."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    usd: float | None = None


@dataclass(frozen=True, slots=True)
class RateLimits:
    """What an endpoint says may still be sent, and in how many seconds that is refilled; None where it says nothing."""

    requests_left: int | None = None
    requests_reset_s: float | None = None
    tokens_left: int | None = None
    tokens_reset_s: float | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer. `finish` is `stop`, `length` (cut off), or `refused` (content filter or a stated refusal).

    `token_logprobs` are the reply's tokens with, for each, the log-probabilities of its alternatives.
    `probabilities` are the judge's own probabilities of a 1, one per passage of a scoring task, where it states them.
    `rate_limits` came with the reply and are of that moment: nothing of them is stored.
    """

    text: str
    model: str
    finish: Literal["stop", "length", "refused"] = "stop"
    usage: Usage = field(default_factory=Usage)
    token_logprobs: tuple[tuple[str, Mapping[str, float]], ...] | None = None
    probabilities: tuple[float, ...] | None = None
    rate_limits: RateLimits | None = None


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a judge can do. `endpoint` and `model` name who answers: they are part of every cache key.

    `is_local` means that asking costs nothing and no network is used. `uses_task` means that the judge answers
    from the typed task, which then belongs to the cache key as well. `variant` spells every option that changes
    replies and is named by neither endpoint, model nor request; it belongs to the cache key too. `is_deterministic`
    claims that the same request at temperature 0 gets the same text. `is_batching` means that it gathers requests
    itself, `max_concurrent` of them at a time, in this process: that many are given to it, whatever the limits of
    the run say for endpoints, and no time-out is kept, since a request's time is that of its batch. Only a judge that
    `has_similarities` or `has_likelihoods` answers what is asked in a SimilarityTask or a LikelihoodTask. `is_shared`:
    other runs may have its replies, which belong to the model that `identity` tells from others of its name, as far
    as the endpoint says; a run's own journal goes by neither.
    """

    endpoint: str
    model: str
    is_local: bool = False
    uses_task: bool = False
    has_logprobs: bool = False
    has_schema: bool = False
    max_concurrent: int = 16
    variant: str = ""
    is_deterministic: bool = False
    is_batching: bool = False
    has_similarities: bool = False
    has_likelihoods: bool = False
    is_shared: bool = True
    identity: str = ""


@runtime_checkable
class Judge(Protocol):
    """Whoever answers requests."""

    @property
    def capabilities(self) -> Capabilities: ...

    async def ask(self, request: Request) -> Reply:
        """Answer one request.

        Raises JudgeRetry (may pass), JudgeRejected (this request never will), JudgeStopped (no request will).
        """
        ...

    async def aclose(self) -> None:
        """Release connections."""
        ...
