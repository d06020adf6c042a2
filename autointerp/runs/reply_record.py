"""Answers as rows of journal and cache. Requests are canonical JSON without headers, where keys travel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

__all__ = ["Account", "FailedAttempt", "ReplyRecord"]


class Account(NamedTuple):
    """Payer of a reply: an explainer's explanations of a dictionary (`scorer` None), or their scores.

    `feature`, `control` and `windows` (in order) describe the question and do not affect the bill.
    """

    dictionary: str
    explainer: str
    scorer: str | None
    feature: int | None = None
    control: str | None = None
    windows: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ReplyRecord:
    """A request and its reply.

    `key` hashes endpoint, model, body and sample. `request` is JSON with texts as hashes, resolved by `parts`; logprobs
    and probabilities are JSON. For `source` cache, `usd` is the original cost. `at`: seconds since the epoch.
    """

    key: str
    endpoint: str
    model: str
    request: str
    text: str
    finish: str
    reply_model: str
    parts: Mapping[str, str] = field(default_factory=dict)
    token_logprobs: str | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    usd: float | None = None
    latency_s: float = 0.0
    n_attempts: int = 1
    source: Literal["judge", "cache"] = "judge"
    at: float = 0.0
    probabilities: str | None = None


@dataclass(frozen=True, slots=True)
class FailedAttempt:
    """An attempt without reply, counted from 1. `usd_at_most`: possible cost, since a reply may be lost after work."""

    key: str
    attempt: int
    error_class: str
    message: str
    latency_s: float
    at: float
    usd_at_most: float = 0.0
