"""Windows, tokens and logit effects as prompt text, all quoted."""

from __future__ import annotations

from collections.abc import Sequence

from autointerp.prompting.marking import firing_spans, mark, quote, strength
from autointerp.records.evidence import N_SHOWN_LOGITS, Evidence, TokenEffect
from autointerp.records.window import Window

__all__ = ["render_effects", "render_tokens", "render_window", "strongest_firing", "texts_of"]

_NOTHING = "(not known)"


def strongest_firing(evidence: Evidence) -> float:
    """The highest activation in windows of role `explain`."""
    return max((window.max_activation for window in evidence.select("explain", "top", "bin")), default=0.0)


def render_window(window: Window, *, maximum: float) -> dict[str, str]:
    """The text with firing tokens marked, and these with strengths from 0 to 10 (`maximum`)."""
    spans = firing_spans(window)
    firings = ", ".join(
        f"{quote(window.text[start:end])} {strength(activation, maximum=maximum)}" for (start, end), activation in spans
    )
    return {"text": quote(mark(window.text, [span for span, _ in spans])), "firings": firings}


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
