"""Explainer `top-token`: shows the strongest token of each window, with a few words before it, and nothing else."""

from __future__ import annotations

import hashlib

import numpy as np

from autointerp.config.asking import ExplainConfig, ExplainerConfig
from autointerp.config.section import Count
from autointerp.explain.explainer import Explainer
from autointerp.judges.judge import Message, Request
from autointerp.judges.tasks import ExplainTask
from autointerp.prompting.choosing import strongest
from autointerp.prompting.marking import quote, show
from autointerp.records.evidence import Evidence
from autointerp.records.window import Window

PROMPT = """A feature of a language model fires on the last token of each of these texts (they are quoted data):
{texts}
Say in one sentence what they share. End with one line that begins with [EXPLANATION]: and holds that sentence."""


class TopTokenSettings(ExplainerConfig):
    """An entry of explain.explainers: the keys that all explainers have, and those declared here."""

    uses = frozenset({"n_windows"})

    n_before: Count = 5
    """Tokens shown before the strongest one."""


class TopTokenExplainer(Explainer):
    prompt_hash = hashlib.sha256(PROMPT.encode()).hexdigest()[:16]

    def __init__(self, settings: TopTokenSettings, config: ExplainConfig) -> None:
        super().__init__(settings, config)
        self._n_before = settings.n_before

    def requests(self, evidence: Evidence, rng: np.random.Generator) -> tuple[Request, ...]:
        """One request, from windows of the role `explain` only; the role `score` is what scoring needs unseen."""
        windows = strongest(evidence.select("explain", "top", "bin"), self._settings.n_windows)
        if not windows:
            return ()
        texts = "\n".join(quote(_until_top(window, self._n_before)) for window in windows)
        return (
            Request(
                task=ExplainTask(tuple(map(show, windows)), silent_windows=(), top_logits=(), bottom_logits=()),
                messages=(Message("user", PROMPT.format(texts=texts)),),
                max_tokens=self._config.max_tokens,
                temperature=self._config.temperature,
            ),
        )


def _until_top(window: Window, n_before: int) -> str:
    """The window up to its strongest token, a few tokens before it included."""
    top = max(range(len(window.activations)), key=window.activations.__getitem__)
    first = max(0, top - n_before)
    return window.text[window.character_span(first)[0] : window.character_span(top)[1]]
