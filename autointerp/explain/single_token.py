"""Explainer `single_token`: firing tokens without context, a baseline for explainers that see whole windows."""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

import numpy as np

from autointerp.config.asking import ExplainConfig
from autointerp.explain.prompted import PromptedExplainer, Shown, WindowlessSettings
from autointerp.explain.rendering import strongest_firing
from autointerp.judges.tasks import ExplainTask, ShownWindow
from autointerp.prompting.marking import quote, show, strength
from autointerp.records.evidence import Evidence

__all__ = ["open_explainer"]

MAX_TOKENS = 20  # most tokens shown, by total activation
MAX_FIRINGS = 5  # most firings per token shown to a judge without prose


class _Token(NamedTuple):
    text: str
    activations: tuple[float, ...]
    """In the windows, strongest first."""


def open_explainer(settings: WindowlessSettings, config: ExplainConfig) -> PromptedExplainer:
    return PromptedExplainer(settings, config, prompt="single_token", ask=_show_tokens)


def _show_tokens(evidence: Evidence, rng: np.random.Generator) -> Shown | None:
    tokens = _tokens(evidence)[:MAX_TOKENS]
    if not tokens:
        return None
    maximum = strongest_firing(evidence)
    uses = {use.text: use for use in evidence.token_uses}
    rows = []
    for token in tokens:
        use, mean = uses.get(token.text), float(np.mean(token.activations))
        rows.append(
            {
                "text": quote(token.text),
                "n_firing": use.n_firing if use else None,
                "n_tokens": use.n_tokens if use else None,
                "strength": strength(mean, maximum=maximum),
            }
        )
    shown = tuple(ShownWindow((t.text,), (value,)) for t in tokens for value in t.activations[:MAX_FIRINGS])
    return Shown(ExplainTask(shown, silent_windows=(), top_logits=(), bottom_logits=()), {"tokens": rows})


def _tokens(evidence: Evidence) -> list[_Token]:
    """Firing tokens, most total activation first."""
    strengths: dict[str, list[float]] = defaultdict(list)
    for window in evidence.select("explain", "top", "bin"):
        shown = show(window)
        for text, activation in zip(shown.tokens, shown.activations, strict=True):
            if text and activation > 0.0:
                strengths[text].append(activation)
    ranked = sorted(strengths, key=lambda text: (-sum(strengths[text]), text))
    return [_Token(text, tuple(sorted(strengths[text], reverse=True))) for text in ranked]
