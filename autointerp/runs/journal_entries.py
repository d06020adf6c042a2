"""Entries of a journal for readers."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["Answered", "Asked", "Attempt", "Work"]


@dataclass(slots=True)
class Work:
    """One judge's work for one account: explanations of a dictionary (`scorer` None) or their scores.

    `n_replies` include `n_from_cache` (shared cache), `n_sent` (judge), `n_refused`, `n_cut` (token limit) and
    `n_reasked`. Tokens, `usd` and latencies count this run's requests; accounts share a reply's `usd` evenly.
    `failures` count attempts by error class, `answers` verdicts or explanations by outcome.
    """

    dictionary: str
    explainer: str
    scorer: str | None
    model: str
    n_replies: int = 0
    n_from_cache: int = 0
    n_sent: int = 0
    n_refused: int = 0
    n_cut: int = 0
    n_reasked: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    usd: float = 0.0
    n_unpriced: int = 0
    latency_s: float = 0.0
    latency_p50_s: float | None = None
    latency_p95_s: float | None = None
    failures: dict[str, int] = field(default_factory=dict)
    answers: dict[str, int] = field(default_factory=dict)

    @property
    def unparsed_frac(self) -> float | None:
        """Share of unreadable answers; None without any."""
        n = sum(self.answers.values())
        return self.answers.get("unparsed", 0) / n if n else None


@dataclass(frozen=True, slots=True)
class Attempt:
    """A failed attempt; its account is None where unknown."""

    key: str
    attempt: int
    error_class: str
    message: str
    latency_s: float
    at: float
    dictionary: str | None
    feature: int | None
    scorer: str | None


@dataclass(frozen=True, slots=True)
class Asked:
    """A request with its reply, ids of its windows in order, and verdicts as (window, kind, fires, answer,
    probability).
    """

    key: str
    dictionary: str | None
    feature: int | None
    explainer: str | None
    scorer: str | None
    control: str | None
    model: str
    messages: tuple[tuple[str, str], ...]
    text: str
    finish: str
    source: str
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    usd: float | None
    latency_s: float
    n_attempts: int
    at: float
    windows: tuple[str, ...] = ()
    verdicts: tuple[tuple[str, str, bool, str, float | None], ...] = ()
    explanation: str | None = None


@dataclass(frozen=True, slots=True)
class Answered:
    """A reply about one feature, with the ids of the windows asked about; `scorer` is empty where it explains."""

    explainer: str
    scorer: str
    control: str | None
    windows: tuple[str, ...]
    key: str
    model: str
    text: str
    finish: str
    input_tokens: int
    output_tokens: int
    usd: float | None
