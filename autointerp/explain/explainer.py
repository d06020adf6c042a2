"""The interface of explainers, which make requests and read replies, but send nothing.

A factory `(ExplainerConfig, ExplainConfig) -> Explainer` is a row of `builtin_plugins.EXPLAINERS` or an entry point
`autointerp.explainers`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from autointerp.config.asking import ExplainConfig, ExplainerConfig
from autointerp.judges.judge import Reply, Request
from autointerp.prompting.parsing import parse_explanation
from autointerp.prompting.reasking import reask
from autointerp.prompting.refusals import is_refusal
from autointerp.prompting.templates import Prompt
from autointerp.records.evidence import Evidence
from autointerp.score.scorer import About

__all__ = ["Explainer", "Reading", "Round", "read_explanation", "reask_explanation"]

Round = Sequence[Reply | None]
"""Replies to one round of requests, in order; None for a failed request."""


@dataclass(frozen=True, slots=True)
class Reading:
    """An explanation, or None and the reason.

    `missing`: the evidence holds nothing to explain from. `error`: no reply came.
    """

    text: str | None
    failure: Literal["unparsed", "refused", "error", "missing"] | None = None


class Explainer(ABC):
    """A way to explain a feature; a subclass defines at least `requests`.

    `asks` is "in rounds" if questions depend on earlier replies (`follow`), "nobody" for `explain`. Only windows of
    role `explain` are used, and `rng` is the only source of randomness.
    """

    asks: ClassVar[Literal["once", "in rounds", "nobody"]] = "once"
    tells: About | None = None
    """The one topic of its explanations; None if they may cover both."""

    def __init__(self, settings: ExplainerConfig, config: ExplainConfig) -> None:
        """`settings` is an entry of explain.explainers, `config` the whole section."""
        self._settings, self._config = settings, config

    @property
    def name(self) -> str:
        """The label of its settings, or its own name."""
        return self._settings.label or self._settings.name

    @property
    @abstractmethod
    def prompt_hash(self) -> str:
        """Hash of the prompt file, stored with every explanation."""

    def requests(self, evidence: Evidence, rng: np.random.Generator) -> tuple[Request, ...]:
        """The requests about one feature; none if its evidence holds nothing to explain from."""
        return ()

    def read(self, replies: Sequence[Reply]) -> Reading:
        """The explanation in the replies, one per request in order."""
        return read_explanation(replies[0])

    def reask(self, request: Request, replies: Sequence[Reply]) -> Request | None:
        """The next request after at least one reply, or None to accept the last reply."""
        return None

    def follow(
        self, evidence: Evidence, rounds: Sequence[Round], rng: np.random.Generator
    ) -> tuple[Request, ...] | Reading:
        """The next requests after at least one round, or the explanation.

        `rng` is the stream of `requests`, from its beginning.
        """
        replies = [reply for reply in rounds[0] if reply is not None]
        return self.read(replies) if len(replies) == len(rounds[0]) else Reading(None, "error")

    def explain(self, evidence: Evidence, rng: np.random.Generator) -> Reading:
        """The explanation without a judge."""
        return Reading(None, "missing")


def read_explanation(reply: Reply) -> Reading:
    """The text after `[EXPLANATION]:` at the end of a reply."""
    if reply.finish == "refused":
        return Reading(text=None, failure="refused")
    text = parse_explanation(reply.text, is_cut=reply.finish == "length")
    if text is not None:
        return Reading(text=text)
    return Reading(text=None, failure="refused" if is_refusal(reply.text) else "unparsed")


def reask_explanation(request: Request, replies: Sequence[Reply], *, prompt: Prompt, limit: int) -> Request | None:
    """The next request, at most `limit` times, after a reply without an explanation."""
    if read_explanation(replies[-1]).failure != "unparsed" or len(replies) > limit:
        return None
    return reask(request, replies, prompt=prompt, describe=_describe)


def _describe(reply: Reply) -> dict[str, object]:
    is_cut = reply.finish == "length"
    why = "it was cut off before its end" if is_cut else "it has no line that begins with [EXPLANATION]: and goes on"
    return {"problem": why if reply.text.strip() else "it was empty"}
