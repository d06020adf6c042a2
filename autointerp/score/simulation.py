"""Scorer `simulation`: predict the activation of every token from 0 to 10; correlation over all tokens (Bills et al.
2023).

With `score.want_logprobs` a prediction is the judge's expected value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from autointerp.config.asking import ScoreConfig
from autointerp.judges.judge import Reply, Request
from autointerp.judges.tasks import HIGHEST, SimulateTask
from autointerp.prompting.expectations import expected_values
from autointerp.prompting.marking import quote
from autointerp.prompting.numbers import diagnose_numbers, find_numbers
from autointerp.records.evidence import Evidence
from autointerp.records.token_key import name_tokens, named_tokens
from autointerp.score.scorer import Item, Question, Scale, Unscorable
from autointerp.score.token_by_token import TokenScorer, TokenSettings

__all__ = ["OneByOneSimulation", "SimulationScorer", "SimulationSettings", "open_scorer"]


class SimulationSettings(TokenSettings):
    needs_silent: ClassVar[bool] = False

    at_once: bool = True
    """Ask about all tokens of a window in one request; false: about each in a request of its own."""


class SimulationScorer(TokenScorer):
    """All tokens of a window in one request."""

    scale = Scale("activations")

    def _task(self, explanation: str, text: str, spans: tuple[tuple[int, int], ...]) -> SimulateTask:
        return SimulateTask(explanation, text, spans)

    def _schema(self, n: int) -> Mapping[str, Any]:
        entry = {"type": "integer", "minimum": 0, "maximum": HIGHEST}
        return {
            "type": "object",
            "properties": {"activations": {"type": "array", "items": entry, "minItems": n, "maxItems": n}},
            "required": ["activations"],
            "additionalProperties": False,
        }

    def _values(self, reply: Reply, n: int) -> Sequence[float] | None:
        numbers = find_numbers(reply.text, n, highest=HIGHEST, is_cut=reply.finish == "length")
        if numbers is None or not self._score.want_logprobs:
            return None if numbers is None else numbers.values
        return expected_values(reply, numbers, highest=HIGHEST)

    def _describe(self, question: Question, reply: Reply) -> Mapping[str, object]:
        n = self._n_asked(question.items[0])
        problem = diagnose_numbers(reply.text, n, highest=HIGHEST, is_cut=reply.finish == "length")
        return {"n_tokens": n, "problem": problem}


class OneByOneSimulation(SimulationScorer):
    """One token per request, with the text up to it."""

    def sample(
        self, evidence: Evidence, rng: np.random.Generator, *, others: Sequence[Evidence]
    ) -> tuple[Item, ...] | Unscorable:
        """All tokens with a text of their own, window by window."""
        windows = super().sample(evidence, rng, others=others)
        if isinstance(windows, Unscorable):
            return windows
        items: list[Item] = []
        for item in windows:
            owners = item.window.owners()
            fired = {owner for owner, value in zip(owners, item.window.activations, strict=True) if value > 0}
            items += [
                Item(item.window, item.kind, place in fired, name_tokens(item.window.id, [place]))
                for place in sorted(set(owners))
            ]
        return tuple(items)

    def _n_asked(self, item: Item) -> int:
        return 1

    def _predictions(self, item: Item, values: Sequence[float]) -> tuple[float, ...]:
        return tuple(values)

    def _request(self, explanation: str, item: Item) -> Request:
        named = named_tokens(item.key)
        if named is None:
            raise ValueError(f"item {item.key} does not name the token to ask about")
        text, (start, end) = item.window.text, item.window.piece_spans()[named[1][0]]
        messages = self._prompt.render(
            explanation=quote(explanation),
            text=self._notation.write(text[:end], [(start, end)]),
            token=quote(text[start:end]),
        )
        return self._ask_about(1, self._task(explanation, text, ((start, end),)), messages)


def open_scorer(settings: SimulationSettings, score: ScoreConfig) -> SimulationScorer:
    """The scorer `simulation`, all at once or one by one."""
    made, prompt = (SimulationScorer, "simulation") if settings.at_once else (OneByOneSimulation, "simulation_single")
    return made(settings, score, prompt=prompt, again="reask_numbers")
