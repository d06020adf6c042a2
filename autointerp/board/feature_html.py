"""One feature as HTML for a notebook cell: explanations, scores, and its strongest windows, shaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isnan
from typing import Any

from markupsafe import Markup, escape

from autointerp.records.evidence import Evidence
from autointerp.records.window import Window
from autointerp.safe_text import safe_text

__all__ = ["feature_html"]

_HEAT = "232, 137, 58"


def feature_html(
    evidence: Evidence, *, told: Sequence[Mapping[str, Any]], scores: Sequence[Mapping[str, Any]], n_windows: int
) -> str:
    """Markup without scripts and styles of its own; every text of the run is escaped. `told` and `scores` are rows of
    explanations and scores.
    """
    head = Markup("<h4>{}/{} <small>at {}, fires on {:.3%} of tokens</small></h4>").format(
        _safe(evidence.dictionary), evidence.feature, _safe(evidence.site), evidence.density
    )
    lines = [
        Markup("<p><b>{}</b> {}</p>").format(_safe(row["explainer"]), _safe(row["text"] or f"({row['failure']})"))
        for row in told
    ]
    figures = [
        Markup("<li>{}: {} {:.3f}</li>").format(_safe(row["scorer"]), _safe(row["metric"]), row["score"])
        for row in scores
        if row["score"] is not None and not isnan(row["score"])
    ]
    shown = sorted(evidence.windows, key=lambda w: -w.max_activation)[:n_windows]
    windows = [_window(window, evidence.max_activation) for window in shown]
    listed = Markup("<ul>{}</ul>").format(Markup("").join(figures)) if figures else Markup("")
    return str(Markup("").join([Markup("<div>"), head, *lines, listed, *windows, Markup("</div>")]))


def _window(window: Window, maximum: float) -> Markup:
    tokens = [
        Markup('<span style="background: rgba({}, {:.2f})" title="{:.4g}">{}</span>').format(
            _HEAT, 0.7 * min(1.0, activation / maximum), activation, _safe(text)
        )
        if activation > 0 and maximum > 0
        else escape(_safe(text))
        for text, activation in zip(window.token_texts(), window.activations, strict=True)
    ]
    style = "margin: 2px 0; white-space: pre-wrap; unicode-bidi: isolate"
    return Markup('<p style="{}"><code>{}</code></p>').format(style, Markup("").join(tokens))


def _safe(text: Any) -> str:
    return safe_text(str(text))
