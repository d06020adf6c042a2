"""Versions of the prompts. Version 2 is version 1 with changes, each of which can be taken alone."""

from __future__ import annotations

from typing import Literal, get_args

__all__ = ["ExplainChange", "ExplainPrompts", "ScoreChange", "ScorePrompts", "explain_changes", "score_changes"]

ExplainChange = Literal[
    "marks", "contrast", "context", "edges", "strengths", "rate", "tokens", "boundaries", "logits", "passages"
]
"""`marks`: « and » in place of << and >>. `contrast`: silent windows that hold a token it fires on. `context`: windows
that go on after their last firing. `edges`: whether a window begins or ends its document. `strengths`: strong and weak
firings apart. `rate`: how often it fires. `tokens`: a table of the tokens it fires on most. `boundaries`: a · where a
word is split. `logits`: promoted tokens with magnitudes, without those that the text never holds. `passages`: one
window per passage."""

ScoreChange = Literal["marks", "threshold", "pieces", "boundaries"]
"""`marks`: as above. `threshold`: what counts as firing, and what "weakly" means. `pieces`: a marked part of a word or
number is judged as part of it. `boundaries`: as above; not part of version 2, as it costs tokens."""

ExplainPrompts = Literal[1, 2] | tuple[ExplainChange, ...]
ScorePrompts = Literal[1, 2] | tuple[ScoreChange, ...]

_OPTIONAL: frozenset[str] = frozenset({"boundaries"})


def explain_changes(prompts: ExplainPrompts | None) -> frozenset[str]:
    """The changes to version 1; None is version 2."""
    return _changes(prompts, frozenset(get_args(ExplainChange)))


def score_changes(prompts: ScorePrompts) -> frozenset[str]:
    """The changes to version 1."""
    return _changes(prompts, frozenset(get_args(ScoreChange)) - _OPTIONAL)


def _changes(prompts: ExplainPrompts | ScorePrompts | None, version_2: frozenset[str]) -> frozenset[str]:
    if isinstance(prompts, tuple):
        return frozenset(prompts)
    return frozenset() if prompts == 1 else version_2
