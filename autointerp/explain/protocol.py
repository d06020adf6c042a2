"""The seam of explainers: WHAT is asked so that a feature gets an explanation. One small file each.

An explainer is found by the entry point `autointerp.explainers`, a factory `(ExplainConfig) -> Explainer`. It turns
evidence into requests and replies into an explanation; it does not send anything and knows no judge.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import numpy as np

from autointerp.judges.protocol import Reply, Request
from autointerp.prompting.parsing import is_refusal, parse_explanation
from autointerp.records.evidence import Evidence

__all__ = ["Explainer", "Reading", "read_explanation"]


@dataclass(frozen=True, slots=True)
class Reading:
    """What the replies say: an explanation, or None and why there is none."""

    text: str | None
    failure: Literal["unparsed", "refused"] | None = None


@runtime_checkable
class Explainer(Protocol):
    """A way of asking for an explanation."""

    @property
    def name(self) -> str: ...

    @property
    def prompt_hash(self) -> str:
        """Hash of the prompt file, stored with every explanation."""
        ...

    def requests(self, evidence: Evidence, rng: np.random.Generator) -> tuple[Request, ...]:
        """The requests about one feature; none when its evidence holds nothing to explain from.

        Uses windows of the role `explain` only, and draws from `rng` alone.
        """
        ...

    def read(self, replies: Sequence[Reply]) -> Reading:
        """The explanation that the replies, one per request and in order, amount to."""
        ...


def read_explanation(reply: Reply) -> Reading:
    """The explanation in one reply that ends with `[EXPLANATION]:` and a text."""
    if reply.finish == "refused":
        return Reading(text=None, failure="refused")
    text = parse_explanation(reply.text)
    if text is not None:
        return Reading(text=text)
    return Reading(text=None, failure="refused" if is_refusal(reply.text) else "unparsed")
