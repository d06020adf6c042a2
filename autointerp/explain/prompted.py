"""Explainers that ask a judge one question: a prompt and a function that picks what is shown."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from autointerp.config.asking import ExplainConfig, ExplainerConfig
from autointerp.explain.counting import with_counts
from autointerp.explain.explainer import Explainer, reask_explanation
from autointerp.judges.judge import Reply, Request
from autointerp.judges.tasks import ExplainTask
from autointerp.prompting.templates import joint_hash, load_changed_prompt, load_prompt
from autointerp.records.evidence import Evidence
from autointerp.score.scorer import About

__all__ = ["Ask", "PromptedExplainer", "Shown", "WindowlessSettings"]


class Shown(NamedTuple):
    """What is shown of a feature: typed, and as variables of the prompt's versions."""

    task: ExplainTask
    values: Mapping[str, object]


Ask = Callable[[Evidence, np.random.Generator], Shown | None]
"""Picks what is shown, `explain` windows only; None if there is nothing."""


class WindowlessSettings(ExplainerConfig):
    """Settings of explainers that choose no windows."""

    uses = frozenset[str]()


class PromptedExplainer(Explainer):
    """Explains by one request: the prompt `explain/PROMPT` about what `ask` picks."""

    def __init__(
        self,
        settings: ExplainerConfig,
        config: ExplainConfig,
        *,
        prompt: str,
        ask: Ask,
        tells: About | None = None,
        changes: Collection[str] = (),
    ) -> None:
        """`changes` to version 1 of the prompt, of which `ask` knows."""
        super().__init__(settings, config)
        self.tells = tells
        self._ask = ask
        self._prompt = load_changed_prompt(f"explain/{prompt}", changes)
        self._again = load_prompt("explain/reask")

    @property
    def prompt_hash(self) -> str:
        """Hash of the prompt, jointly with the second one if it may be used."""
        return joint_hash(self._prompt, self._again) if self._config.reasks else self._prompt.hash

    def requests(self, evidence: Evidence, rng: np.random.Generator) -> tuple[Request, ...]:
        """One request, or none if there is nothing to show."""
        shown = self._ask(evidence, rng)
        if shown is None:
            return ()
        limit, temperature = self._config.max_tokens, self._config.temperature
        messages = self._prompt.render(
            **{name: shown.values[name] for name in self._prompt.takes & shown.values.keys()}
        )
        task = with_counts(shown.task, evidence) if shown.task.windows else shown.task
        return (Request(task=task, messages=messages, max_tokens=limit, temperature=temperature),)

    def reask(self, request: Request, replies: Sequence[Reply]) -> Request | None:
        """The next request after a reply without explanation, at most `explain.reasks` times."""
        return reask_explanation(request, replies, prompt=self._again, limit=self._config.reasks)
