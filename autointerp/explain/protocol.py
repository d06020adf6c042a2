"""The seam of explainers: WHAT is asked so that a feature gets an explanation. One small file each.

An explainer turns evidence into requests and replies into an explanation; it sends nothing. Its factory
`(ExplainerConfig, ExplainConfig) -> Explainer` is a row of `builtin_plugins.EXPLAINERS` or an entry point
`autointerp.explainers`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from autointerp.config.asking import ExplainConfig, ExplainerConfig
from autointerp.judges.protocol import Reply, Request
from autointerp.prompting.parsing import parse_explanation
from autointerp.prompting.reasking import reask
from autointerp.prompting.refusals import is_refusal
from autointerp.prompting.templates import Prompt
from autointerp.records.evidence import Evidence
from autointerp.score.protocol import About

__all__ = ["Explainer", "Reading", "Round", "read_explanation", "reask_explanation"]

Round = Sequence[Reply | None]
"""The replies to the requests of one round, in order; None where a request failed."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What the replies say: an explanation, or None and why there is none.

    `missing`: nothing was asked because what the explainer explains from is not there. `error`: no reply came.
    """

    text: str | None
    failure: Literal["unparsed", "refused", "error", "missing"] | None = None


class Explainer(ABC):
    """A way to have a feature explained. A subclass says what is asked (`requests`); the rest has a default.

    `asks` is "in rounds" where later questions depend on earlier replies (`follow`), and "nobody" where the explainer
    explains by itself (`explain`). Nothing but windows of the role `explain` is used, and randomness comes from `rng`.
    """

    asks: ClassVar[Literal["once", "in rounds", "nobody"]] = "once"
    tells: About | None = None
    """The one thing its explanations tell, None where they may tell both."""

    def __init__(self, settings: ExplainerConfig, config: ExplainConfig) -> None:
        """`settings` is an entry of explain.explainers, `config` the whole section."""
        self._settings, self._config = settings, config

    @property
    def name(self) -> str:
        """What its results are called: the label of its settings, or its own name."""
        return self._settings.label or self._settings.name

    @property
    @abstractmethod
    def prompt_hash(self) -> str:
        """Hash of the prompt file, stored with every explanation."""

    def requests(self, evidence: Evidence, rng: np.random.Generator) -> tuple[Request, ...]:
        """The requests about one feature; none when its evidence holds nothing to explain from."""
        return ()

    def read(self, replies: Sequence[Reply]) -> Reading:
        """The explanation that the replies, one per request and in order, amount to."""
        return read_explanation(replies[0])

    def reask(self, request: Request, replies: Sequence[Reply]) -> Request | None:
        """The request that follows the replies to one request so far, at least one, or None when the last of them is
        taken as it is.
        """
        return None

    def follow(
        self, evidence: Evidence, rounds: Sequence[Round], rng: np.random.Generator
    ) -> tuple[Request, ...] | Reading:
        """The requests that follow the replies so far, at least one round of them, or the explanation they amount to.

        `rng` is the stream that `requests` drew from, at its beginning. A refused request counts as a refused reply.
        """
        replies = [reply for reply in rounds[0] if reply is not None]
        return self.read(replies) if len(replies) == len(rounds[0]) else Reading(None, "error")

    def explain(self, evidence: Evidence, rng: np.random.Generator) -> Reading:
        """The explanation by one that asks nobody."""
        return Reading(None, "missing")


def read_explanation(reply: Reply) -> Reading:
    """The explanation in one reply that ends with `[EXPLANATION]:` and a text."""
    if reply.finish == "refused":
        return Reading(text=None, failure="refused")
    text = parse_explanation(reply.text, is_cut=reply.finish == "length")
    if text is not None:
        return Reading(text=text)
    return Reading(text=None, failure="refused" if is_refusal(reply.text) else "unparsed")


def reask_explanation(request: Request, replies: Sequence[Reply], *, prompt: Prompt, limit: int) -> Request | None:
    """Once more, at most `limit` times, where the last reply holds no explanation that can be read."""
    if read_explanation(replies[-1]).failure != "unparsed" or len(replies) > limit:
        return None
    return reask(request, replies, prompt=prompt, describe=_describe)


def _describe(reply: Reply) -> dict[str, object]:
    is_cut = reply.finish == "length"
    why = "it was cut off before its end" if is_cut else "it has no line that begins with [EXPLANATION]: and goes on"
    return {"problem": why if reply.text.strip() else "it was empty"}
