"""Data of each feature for the report page, cut to a budget of windows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from autointerp.board.feature_noise import f1_interval
from autointerp.board.metrics import METRICS, metrics_in
from autointerp.board.scores import ScoreGroup
from autointerp.records.evidence import N_SHOWN_LOGITS, Evidence, FiringRule
from autointerp.records.verdict import Verdict
from autointerp.records.window import HARD, Kind, Window

__all__ = ["card_columns", "feature_card", "windows_per_feature"]

_ON_PAGE = tuple(metric.name for metric in metrics_in("page"))

_KIND_ORDER: tuple[Kind, ...] = (
    *("top", "bin", "drawn"),
    *("near_miss", "neighbour", "embedding_near"),
    *("same_document", "same_family", "random", "other", "wrong_marks", "promoted", "suppressed"),
)


def card_columns(metric: str) -> list[list[Any]]:
    """Figures beside a feature's score: name, label, and whether signed."""
    kind = "f1" if metric in ("f1", "macro_f1") else "other"
    shown = sorted((each for each in METRICS if kind in each.card), key=lambda each: each.place)
    return [[each.name, each.card[kind], each.is_signed] for each in shown]


def windows_per_feature(n_features: int, *, budget: int, at_least: int = 6, at_most: int = 24) -> int:
    """Windows per feature that stay near `budget` in total."""
    return max(at_least, min(at_most, budget // max(1, n_features)))


def feature_card(
    evidence: Evidence,
    verdicts: Mapping[ScoreGroup, Sequence[Verdict]],
    scores: Mapping[ScoreGroup, Mapping[str, Any]],
    *,
    groups: Sequence[ScoreGroup],
    borrowed: Mapping[str, Window],
    n_windows: int,
) -> dict[str, Any]:
    """One feature: facts, scores per group, and windows, judged ones first.

    `borrowed` holds another feature's windows by id.
    """
    answers = [
        {v.window: v.answer for v in verdicts.get(group, ()) if v.control is None and v.window} for group in groups
    ]
    judged_ids = set().union(*answers) if answers else set()
    judged = [w for w in evidence.select("score") if w.id in judged_ids - borrowed.keys()]
    judged += [_as_silent(window) for window in borrowed.values() if window.id in judged_ids]
    seen = sorted(evidence.select("explain", "top", "bin"), key=lambda w: -w.max_activation)
    n_seen = min(len(seen), max(2, n_windows // 4))
    shown = _spread(judged, n_windows - n_seen)
    return {
        "max": _round(evidence.max_activation),
        "nTokens": evidence.n_tokens,
        "nFiring": evidence.n_firing,
        "rule": _rule(evidence.rule),
        "site": evidence.site,
        "edges": [_round(edge) for edge in evidence.histogram_edges],
        "counts": list(evidence.histogram_counts),
        "top": [[effect.text, _round(effect.logit)] for effect in evidence.top_logits[:N_SHOWN_LOGITS]],
        "bottom": [[effect.text, _round(effect.logit)] for effect in evidence.bottom_logits[:N_SHOWN_LOGITS]],
        "tokens": [[use.text, use.n_firing, use.n_tokens] for use in evidence.token_uses[:8]],
        "neuron": [evidence.neuron.index, _round(evidence.neuron.correlation)] if evidence.neuron else None,
        "scores": [_score(scores.get(group)) | _known_to(evidence, verdicts, scores, group) for group in groups],
        "judged": [_window(w, [by_window.get(w.id) for by_window in answers]) for w in shown],
        "nJudged": len(judged_ids),
        "seen": [_window(w, []) for w in seen[:n_seen]],
        "nSeen": len(seen),
    }


def _as_silent(window: Window) -> Window:
    """The borrowed window as the borrower's: silent, of kind `other`."""
    return replace(window, kind="other", bin=None, activations=(0.0,) * len(window.activations))


def _spread(windows: Sequence[Window], n: int) -> list[Window]:
    """At most `n` windows, kinds in turn; answers do not matter."""
    queues = [sorted((w for w in windows if w.kind == kind), key=lambda w: w.id) for kind in _KIND_ORDER]
    chosen: list[Window] = []
    for turn in range(max((len(queue) for queue in queues), default=0)):
        chosen += [queue[turn] for queue in queues if turn < len(queue)]
    return sorted(
        chosen[:n], key=lambda w: (_KIND_ORDER.index(w.kind) if not w.is_firing else 0, -w.max_activation, w.id)
    )


def _window(window: Window, answers: Sequence[str | None]) -> dict[str, Any]:
    return {
        "kind": window.kind,
        "apart": int(window.kind in HARD),
        "fires": int(window.is_firing),
        "tokens": window.token_texts(),
        "acts": [[i, _round(a)] for i, a in enumerate(window.activations) if a > 0],
        "mark": window.candidate,
        "doc": window.document,
        "offset": window.offset,
        "answers": list(answers),
    }


def _score(row: Mapping[str, Any] | None) -> dict[str, Any]:
    if row is None:
        return {"unscored": "judge"}
    values = {name: _round(row[name]) for name in _ON_PAGE if row.get(name) is not None}
    counts = {
        name: int(row[name]) for name in ("n_positive", "n_negative", "n_near_miss", "unparsed", "refused", "error")
    }
    return {**values, **counts, "unscored": row["unscored"]}


def _known_to(
    evidence: Evidence,
    verdicts: Mapping[ScoreGroup, Sequence[Verdict]],
    scores: Mapping[ScoreGroup, Mapping[str, Any]],
    group: ScoreGroup,
) -> dict[str, Any]:
    """The interval of the feature's F1, if that is its metric."""
    row = scores.get(group)
    if row is None or row["score"] is None or row["metric"] != "f1":
        return {}
    f1 = f1_interval(evidence, verdicts.get(group, ()), scorer=group.scorer)
    # Without an observed error, resampling cannot show how rare errors are.
    return {} if f1 is None or f1.lo == f1.hi else {"interval": [_round(f1.lo), _round(f1.hi)]}


def _rule(rule: FiringRule) -> str:
    if rule.kind == "above_zero":
        return "above 0"
    text = f"{'above' if rule.sign == 1 else 'below'} {rule.sign * rule.threshold:.4g}"
    return text if rule.target_density is None else f"{text} (fitted to fire on {rule.target_density:.3%} of tokens)"


def _round(value: float) -> float:
    return float(f"{value:.4g}")
