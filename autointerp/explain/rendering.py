"""Windows, tokens, logit effects and rates as prompt text, all quoted. `changes`: those of the prompt to version 1."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from autointerp.prompting.marking import firing_spans, quote, strength
from autointerp.prompting.notation import Notation
from autointerp.records.evidence import N_SHOWN_LOGITS, Evidence, TokenEffect
from autointerp.records.window import Window

__all__ = [
    "V1",
    "knows_ends",
    "render_effects",
    "render_rate",
    "render_seen_effects",
    "render_silent",
    "render_token_table",
    "render_tokens",
    "render_window",
    "strongest_firing",
    "texts_of",
]

_NOTHING = "(not known)"
_N_TABLE_TOKENS = 8
_FEWEST_EFFECTS = 3  # a list with fewer entries says nothing
_SPECIAL = re.compile(r"\s*(?:<[^<>\s]*>|\[[A-Z_]+\d*\])\s*")

V1: frozenset[str] = frozenset()
"""The changes that make version 1: none."""


def strongest_firing(evidence: Evidence) -> float:
    """The highest activation in windows of role `explain`."""
    return max((window.max_activation for window in evidence.select("explain", "top", "bin")), default=0.0)


def render_window(window: Window, *, maximum: float, changes: Collection[str] = V1) -> dict[str, str]:
    """The text with firing tokens marked, these with strengths from 0 to 10 (`maximum`), and its place."""
    spans = firing_spans(window)
    firings = ", ".join(
        f"{quote(window.text[start:end])} {strength(activation, maximum=maximum)}" for (start, end), activation in spans
    )
    text = Notation.of(changes).write_window(window, [span for span, _ in spans])
    return {"text": text, "firings": firings, "place": _place(window, changes)}


def render_silent(window: Window, *, changes: Collection[str] = V1) -> dict[str, str | None]:
    """The text, its place, and, of a near miss, the token that fires elsewhere."""
    start, end = window.character_span(window.candidate)
    return {
        "text": Notation.of(changes).write_window(window),
        "token": quote(window.text[start:end]) if window.kind == "near_miss" else None,
        "place": _place(window, changes),
    }


def _place(window: Window, changes: Collection[str]) -> str:
    """Where the window stands in its document, if it begins or ends it."""
    words = [word for word, holds in (("begins", window.offset == 0), ("ends", window.ends_document)) if holds]
    return f" ({' and '.join(words)} the document)" if words and "edges" in changes else ""


def knows_ends(evidence: Evidence) -> bool:
    """Whether it is known which windows end their document."""
    return any(window.ends_document is not None for window in evidence.windows)


def render_rate(evidence: Evidence) -> str | None:
    """How often the feature fires, by tokens and, if counted, by windows; None if not known."""
    if not evidence.n_firing or not evidence.n_tokens:
        return None
    rate = f"on about 1 of {evidence.n_tokens / evidence.n_firing:,.0f} tokens"
    prevalence = None if evidence.counts is None else evidence.counts.prevalence
    return rate if prevalence is None else f"{rate}, in {prevalence:.2%} of windows like these"


def render_token_table(evidence: Evidence) -> list[str]:
    """The tokens with most firings in the text of role `explain`, a line each, with their shares."""
    n_firing = sum(use.n_firing for use in evidence.token_uses)
    return [
        f"{quote(use.text)}: {use.n_firing / n_firing:.0%} of its firings; fires on {use.n_firing:,} of "
        f"{use.n_tokens:,} occurrences"
        for use in evidence.token_uses[:_N_TABLE_TOKENS]
    ]


def texts_of(effects: Sequence[TokenEffect]) -> tuple[str, ...]:
    """The vocabulary entries explainers may see."""
    return tuple(effect.text for effect in effects[:N_SHOWN_LOGITS])


def render_tokens(tokens: Sequence[str]) -> str:
    """Vocabulary entries on one line, or that none are known."""
    return ", ".join(map(quote, tokens)) or _NOTHING


def render_effects(effects: Sequence[TokenEffect]) -> str:
    """The vocabulary entries explainers may see with the changes of their logits, or that none are known."""
    shown = effects[:N_SHOWN_LOGITS]
    return ", ".join(f"{quote(effect.text)} {effect.logit:+.2f}" for effect in shown) or _NOTHING


def render_seen_effects(effects: Sequence[TokenEffect]) -> str:
    """As `render_effects`, without entries that the text never holds; nothing where few are left."""
    seen = [effect for effect in effects[:N_SHOWN_LOGITS] if _is_seen(effect)]
    return render_effects(seen) if len(seen) >= _FEWEST_EFFECTS else ""


def _is_seen(effect: TokenEffect) -> bool:
    """Whether the text holds the entry; where nobody counted, whether it looks as if it might."""
    return not _SPECIAL.fullmatch(effect.text) if effect.n_seen is None else effect.n_seen > 0
