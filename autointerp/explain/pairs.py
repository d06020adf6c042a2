"""Pairs of explainers and scorers: an explanation of where a feature fires cannot answer about its output."""

from __future__ import annotations

from collections.abc import Sequence

from autointerp.errors import ConfigError
from autointerp.explain.explainer import Explainer
from autointerp.score.scorer import About, Scorer

__all__ = ["is_pair", "require_pairs"]

_SAYS: dict[About, str] = {
    "firing": "where a feature fires and nothing of what it does to the output",
    "output": "what a feature does to the output and nothing of where it fires",
}


def is_pair(explainer: Explainer, scorer: Scorer) -> bool:
    """Whether the scorer can test the explainer's explanations."""
    return not scorer.scale.needs_explanation or explainer.tells in (None, scorer.about)


def require_pairs(explainers: Sequence[Explainer], scorers: Sequence[Scorer]) -> None:
    """Raise ConfigError for an explainer and a scorer that do not fit."""
    for explainer in explainers:
        for scorer in scorers:
            if not is_pair(explainer, scorer) and explainer.tells is not None:
                raise ConfigError(
                    f"explain.explainers '{explainer.name}' says {_SAYS[explainer.tells]}, so score.scorers "
                    f"'{scorer.name}' has nothing to ask about it; give one of the two a run of its own "
                    "(`autointerp rescore`)"
                )
