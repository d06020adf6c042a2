"""Data of each feature for the feature browser: a card with facts, scores, verdicts and windows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from autointerp.board.feature_noise import f1_interval
from autointerp.board.metrics import METRICS, metrics_in
from autointerp.board.relatives import Relative
from autointerp.board.score_table import ScoreGroup
from autointerp.records.evidence import N_SHOWN_LOGITS, Evidence, FiringRule, TokenEffect
from autointerp.records.verdict import Explanation, Verdict
from autointerp.records.window import HARD, Kind, Window
from autointerp.runs.journal_entries import Answered

__all__ = ["ON_PAGE", "Findings", "card_columns", "feature_card", "windows_per_feature"]

ON_PAGE = tuple(metric.name for metric in metrics_in("page"))

# Scores of controls and of judges that do not look, shown beside a feature's own.
_BESIDE = (
    *("always_yes_f1", "always_yes_macro_f1", "coin_f1", "lookup_f1", "lookup_balanced_accuracy"),
    *("shuffled_score", "empty_score", "generic_score"),
)

_KIND_ORDER: tuple[Kind, ...] = (
    *("top", "bin", "drawn"),
    *("near_miss", "neighbour", "embedding_near"),
    *("same_document", "same_family", "random", "other", "wrong_marks", "promoted", "suppressed"),
)


@dataclass(frozen=True, slots=True)
class Findings:
    """What a run found out about one feature; `borrowed` are another feature's windows by id."""

    verdicts: Mapping[ScoreGroup, Sequence[Verdict]]
    scores: Mapping[ScoreGroup, Mapping[str, Any]]
    explanations: Sequence[Explanation] = ()
    replies: Sequence[Answered] = ()
    relatives: Sequence[Relative] = ()
    borrowed: Mapping[str, Window] = field(default_factory=dict)


def card_columns(metric: str) -> list[list[Any]]:
    """Figures beside a feature's score: name, label, and whether signed."""
    kind = "f1" if metric in ("f1", "macro_f1") else "other"
    shown = sorted((each for each in METRICS if kind in each.card), key=lambda each: each.place)
    return [[each.name, each.card[kind], each.is_signed] for each in shown]


def windows_per_feature(n_features: int, *, budget: int, at_least: int = 6, at_most: int = 24) -> int:
    """Windows per feature that stay near `budget` in total."""
    return max(at_least, min(at_most, budget // max(1, n_features)))


def feature_card(
    evidence: Evidence, found: Findings, *, groups: Mapping[ScoreGroup, int], n_judged: int, n_seen: int
) -> dict[str, Any]:
    """One feature: facts, scores by the numbers of `groups`, and at most `n_judged` windows that a judge was asked
    about and `n_seen` firing ones of the explain documents.
    """
    own = {group: number for group, number in groups.items() if group in found.verdicts or group in found.scores}
    answers = _answers(found, own)
    judged = [w for w in evidence.select("score") if w.id in answers.keys() - found.borrowed.keys()]
    judged += [_as_silent(window) for window in found.borrowed.values() if window.id in answers]
    shown = [_window(w, answers[w.id]) for w in _spread(judged, n_judged)]
    trials = sorted(answers.keys() - {window.id for window in judged})
    seen = sorted(evidence.select("explain", "top", "bin", "drawn"), key=lambda w: -w.max_activation)
    pinned = evidence.pinned
    return {
        "max": _round(evidence.max_activation),
        "nTokens": evidence.n_tokens,
        "nFiring": evidence.n_firing,
        "rule": _rule(evidence.rule),
        "site": evidence.site,
        "edges": [_round(edge) for edge in evidence.histogram_edges],
        "counts": list(evidence.histogram_counts),
        "bins": _bins(evidence),
        "top": _effects(evidence.top_logits),
        "bottom": _effects(evidence.bottom_logits),
        "tokens": [[use.text, use.n_firing, use.n_tokens] for use in evidence.token_uses[:N_SHOWN_LOGITS]],
        "neuron": [evidence.neuron.index, _round(evidence.neuron.correlation)] if evidence.neuron else None,
        "relatives": [[r.dictionary, r.feature, _round(r.share)] for r in found.relatives],
        "near": [[n.feature, _round(n.cosine), _round(n.co_firing)] for n in evidence.neighbours],
        "pinned": pinned
        and {
            "raised": _effects(pinned.raised)[:N_SHOWN_LOGITS],
            "lowered": _effects(pinned.lowered)[:N_SHOWN_LOGITS],
            "kl": _round(pinned.kl),
            "strength": _round(pinned.strength),
        },
        "told": [_told(explanation, found.replies) for explanation in found.explanations],
        "scores": {
            str(number): _score(found.scores.get(group)) | _known_to(evidence, found, group)
            for group, number in own.items()
        },
        "replies": [_reply(reply) for reply in found.replies],
        "judged": [*shown, *(_trial(name, answers[name]) for name in trials[: n_judged - len(shown)])],
        "nJudged": len(answers),
        "seen": [_window(w, []) for w in _by_interval(seen, n_seen)],
        "nSeen": len(seen),
    }


def _answers(found: Findings, groups: Mapping[ScoreGroup, int]) -> dict[str, list[list[Any]]]:
    """By window, the own explanation's first: group, control, answer, probability, number of the reply and place in
    it, from 1.
    """
    replies = {
        (reply.explainer, reply.scorer, reply.control or "", window): (number, place)
        for number, reply in enumerate(found.replies)
        for place, window in enumerate(reply.windows, 1)
    }
    answers: dict[str, list[list[Any]]] = {}
    for group, number in groups.items():
        for v in sorted(found.verdicts.get(group, ()), key=lambda v: v.control or ""):
            reply = replies.get((v.explainer, v.scorer, v.control or "", v.window))
            sure = None if v.probability is None else _round(v.probability)
            answers.setdefault(v.window, []).append([number, v.control or "", v.answer, sure, *(reply or ())])
    return {window: each for window, each in answers.items() if any(not control for _, control, *_ in each)}


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


def _by_interval(windows: Sequence[Window], n: int) -> list[Window]:
    """At most `n` of windows that come strongest first, each interval's in turn."""
    turns: dict[int | None, int] = {}
    ranked = []
    for place, window in enumerate(windows):
        turns[window.bin] = turns.get(window.bin, 0) + 1
        ranked.append((turns[window.bin], place, window))
    return [window for _, _, window in sorted(sorted(ranked, key=lambda r: r[:2])[:n], key=lambda r: r[1])]


def _bins(evidence: Evidence) -> list[float] | None:
    """The share of all firing peaks in each interval of the activation range, lowest first."""
    if evidence.counts is None:
        return None
    peaks = [a + b for a, b in zip(evidence.counts.explain_bins, evidence.counts.score_bins, strict=True)]
    return [_round(n / sum(peaks)) for n in peaks] if sum(peaks) else None


def _effects(effects: Sequence[TokenEffect]) -> list[list[Any]]:
    return [[effect.text, _round(effect.logit)] for effect in effects]


def _told(explanation: Explanation, replies: Sequence[Answered]) -> dict[str, Any]:
    made = [i for i, reply in enumerate(replies) if not reply.scorer and reply.explainer == explanation.explainer]
    return {
        "explainer": explanation.explainer,
        "judge": explanation.judge,
        "text": explanation.text,
        "failure": explanation.failure,
        "reply": made[-1] if made else None,
    }


def _reply(reply: Answered) -> dict[str, Any]:
    return {
        "text": reply.text,
        "n": len(reply.windows),
        "finish": reply.finish,
        "model": reply.model,
        "tokens": [reply.input_tokens, reply.output_tokens],
        "usd": reply.usd,
        "key": reply.key[:12],
    }


def _window(window: Window, answers: Sequence[Sequence[Any]]) -> dict[str, Any]:
    return {
        "kind": window.kind,
        "apart": int(window.kind in HARD),
        "fires": int(window.is_firing),
        "bin": window.bin,
        "tokens": window.token_texts(),
        "ids": list(window.token_ids),
        "acts": [[i, _round(a)] for i, a in enumerate(window.activations) if a > 0],
        "mark": window.candidate,
        "doc": window.document,
        "offset": window.offset,
        "answers": answers,
    }


def _trial(name: str, answers: Sequence[Sequence[Any]]) -> dict[str, Any]:
    """What was asked that is no window of the evidence, as a trial or a criterion, by the name of its verdict."""
    return {"kind": "", "apart": 0, "fires": 1, "tokens": [], "doc": name, "answers": answers}


def _score(row: Mapping[str, Any] | None) -> dict[str, Any]:
    if row is None:
        return {"unscored": "judge"}
    values = {name: _round(row[name]) for name in (*ON_PAGE, *_BESIDE) if row.get(name) is not None}
    counts = {
        name: int(row[name]) for name in ("n_positive", "n_negative", "n_near_miss", "unparsed", "refused", "error")
    }
    levels = [None if value is None else _round(value) for value in row.get("level_f1") or ()]
    return {**values, **counts, "unscored": row["unscored"], "levels": levels}


def _known_to(evidence: Evidence, found: Findings, group: ScoreGroup) -> dict[str, Any]:
    """The interval of the feature's F1, if that is its metric."""
    row = found.scores.get(group)
    if row is None or row["score"] is None or row["metric"] != "f1":
        return {}
    f1 = f1_interval(evidence, found.verdicts.get(group, ()), scorer=group.scorer)
    # Without an observed error, resampling cannot show how rare errors are.
    return {} if f1 is None or f1.lo == f1.hi else {"interval": [_round(f1.lo), _round(f1.hi)]}


def _rule(rule: FiringRule) -> str:
    if rule.kind == "above_zero":
        return "above 0"
    text = f"{'above' if rule.sign == 1 else 'below'} {rule.sign * rule.threshold:.4g}"
    return text if rule.target_density is None else f"{text} (fitted to fire on {rule.target_density:.3%} of tokens)"


def _round(value: float) -> float:
    return float(f"{value:.4g}")
