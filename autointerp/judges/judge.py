"""The seam to whoever answers: one method, `ask`. Retries, limits, budget and journal wrap it."""

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
    """One question. `sample` distinguishes repetitions; `reply_schema` None is free text."""

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
    """Tokens counted by the endpoint; `usd` only where a price is stated."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    usd: float | None = None


@dataclass(frozen=True, slots=True)
class RateLimits:
    """What headers say is left, and seconds until refill; None where not stated."""

    requests_left: int | None = None
    requests_reset_s: float | None = None
    tokens_left: int | None = None
    tokens_reset_s: float | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer. `finish`: `stop`, `length` (cut off) or `refused` (content filter or stated refusal).

    `token_logprobs`: each token with its alternatives. `probabilities`: the judge's own P(1) per passage of a scoring
    task. `rate_limits` are not stored.
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
    """What a judge can do. `endpoint`, `model` and `variant` (options that change replies) belong to every cache key.

    `is_local`: free, without network. `uses_task`: answers from the typed task, then part of the cache key.
    `is_deterministic`: at temperature 0. `is_batching`: gathers `max_concurrent` requests itself, whatever the run's
    concurrency limit and time-out. `has_similarities`, `has_likelihoods`: answers SimilarityTask, LikelihoodTask.
    `is_shared`: other runs may reuse replies of the model that `identity` describes. `is_small`: does better when asked
    about one window at a time, in few words.
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
    is_small: bool = False


@runtime_checkable
class Judge(Protocol):
    """Whoever answers requests."""

    @property
    def capabilities(self) -> Capabilities: ...

    async def ask(self, request: Request) -> Reply:
        """Raises JudgeRetry (may pass), JudgeRejected (this request fails), JudgeStopped (all do)."""
        ...

    async def aclose(self) -> None: ...
