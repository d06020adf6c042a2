"""The scores of one feature under one scorer: a row of `scores.parquet`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from autointerp.board.kind_figures import kind_figures, population_figures
from autointerp.board.level_figures import LEVEL_FIGURES, level_figures
from autointerp.board.metrics import METRICS, SILENT_KINDS, heading_of
from autointerp.board.token_figures import firing_figures, simulation_figures, strata_figures
from autointerp.records.evidence import Evidence
from autointerp.records.verdict import Explanation, Verdict
from autointerp.records.window import HARD, WITHIN_DOMAIN, Window
from autointerp.score.rubric import CRITERIA
from autointerp.score.scorer import Scale
from autointerp.stats.baselines import always_no_accuracy, always_yes_f1, always_yes_macro_f1, coin_f1
from autointerp.stats.calibration import calibration_counts
from autointerp.stats.confusion import Confusion, confusion_of
from autointerp.stats.domain import fit_domain_rule
from autointerp.stats.lookup import LookupTask, TokenRule, fit_token_rule, lookup_table
from autointerp.stats.metrics import (
    accuracy,
    auroc,
    balanced_accuracy,
    brier,
    f1,
    kappa,
    macro_f1,
    matthews,
    precision,
    recall,
)
from autointerp.stats.near_miss import Judged, near_miss_accuracy, near_miss_alone, near_miss_of_list

__all__ = ["COUNTS", "SCORE_SCHEMA", "UNSCORED", "score_feature"]

# Reasons for no score: too little evidence of a label, or no explanation or answer from the judge.
UNSCORED = ("too_few_positives", "too_few_negatives", "judge")

COUNTS = (
    "true_positive",
    "false_positive",
    "false_negative",
    "true_negative",
    "lost_positive",
    "lost_negative",
    "unparsed",
    "refused",
    "error",
)

# Measures that need no silent windows.
_ONE_LABEL = ("choices", "activations", "points")

_TEXT, _COUNT, _NUMBER = pa.string(), pa.int64(), pa.float64()

# Columns of `scores.parquet`; undefined metrics are null. Counts are of the own explanation over firing and random (or
# `other`) windows; `lost_positive + lost_negative = unparsed + refused + error`.
SCORE_SCHEMA = pa.schema(
    [
        *((name, _TEXT) for name in ("dictionary",)),
        ("feature", _COUNT),
        *((name, _TEXT) for name in ("explainer", "scorer", "judge", "prompt_hash", "site")),
        ("density", _NUMBER),
        ("max_activation", _NUMBER),
        *(
            (name, _TEXT)
            for name in ("metric", "explanation", "explain_judge", "explain_prompt_hash", "explain_failure", "unscored")
        ),
        ("n_positive", _COUNT),
        ("n_negative", _COUNT),
        ("n_near_miss", _COUNT),
        ("n_near_miss_lost", _COUNT),
        *((name, _COUNT) for name in COUNTS),
        *((metric.name, _NUMBER) for metric in METRICS),
        ("calibration", pa.list_(_NUMBER)),
        *((f"level_{name}", pa.list_(_NUMBER)) for name in LEVEL_FIGURES),
        ("n_lookup_tokens", _COUNT),
        ("n_near_miss_tokens", _COUNT),
        *((f"n_{kind}", _COUNT) for kind in SILENT_KINDS if kind != "near_miss"),
    ]
)


def score_feature(
    evidence: Evidence,
    explanation: Explanation | None,
    verdicts: Sequence[Verdict],
    *,
    scale: Scale,
    borrowed: Mapping[str, Window],
    unscorable: str | None = None,
    density: float | None = None,
) -> dict[str, Any]:
    """One row, without explainer, scorer, judge and prompt; metrics are null if `unscored` gives a reason.

    `verdicts` are of one feature and scorer, controls included, one per window. `borrowed` holds another feature's
    windows by id; `unscorable` is the scorer's reason for not asking. Excesses are in balanced accuracy if defined.
    """
    apart = HARD if scale.measure != "choices" else set[str]()  # of a trial the kind is the intruder's
    own = [v for v in verdicts if v.control is None and v.kind not in apart]
    hard = [v for v in verdicts if v.control is None and v.kind in apart]
    near = [v for v in hard if v.kind == "near_miss"]
    counts = confusion_of(own)
    row: dict[str, Any] = dict.fromkeys(SCORE_SCHEMA.names)
    for name in ("explainer", "scorer", "judge", "prompt_hash"):
        del row[name]
    row |= _description(evidence, explanation)
    row |= {
        "metric": heading_of(scale),
        "unscored": _unscored(evidence, explanation, counts, unscorable, scale),
        "n_near_miss_lost": confusion_of(near).n_lost,
    }
    row |= {"n_positive": counts.n_positive, "n_negative": counts.n_negative, "n_near_miss": len(near)}
    row |= {name: getattr(counts, name) for name in COUNTS}
    row |= {"n_lookup_tokens": 0, "n_near_miss_tokens": 0}
    row |= {f"n_{kind}": 0 for kind in SILENT_KINDS if kind != "near_miss"}
    if row["unscored"] is not None:
        return row
    windows = {w.id: w for w in evidence.windows}
    row |= _metrics(own, windows, scale)
    row |= kind_figures([*own, *hard], measure=scale.measure)
    row |= population_figures(evidence, own, windows, measure=scale.measure)
    controls = {
        control: [v for v in verdicts if v.control == control and v.kind not in apart]
        for control in ("shuffled", "empty", "generic")
    }
    for control, judged in controls.items():
        row |= _controlled(control, row, judged, windows, scale)
    if scale.measure not in ("windows", "marks", "strata"):
        return row
    task: LookupTask = "marked" if scale.measure == "marks" else "detection"
    shown = {v.window: (borrowed if v.kind == "other" else windows).get(v.window) for v in (*own, *near)}
    rule = fit_token_rule(evidence, task=task)
    judged = [(v, window) for v in (*own, *near) if (window := shown[v.window]) is not None]
    labelled = [(window, v.is_firing) for v, window in judged if v.kind not in apart]
    if len(labelled) == len(own):  # a look-up is held against the judge on the same windows or not at all
        row |= _lookups(evidence, rule, labelled, own_accuracy=row["balanced_accuracy"])
    row |= _within_domain(own, controls["shuffled"])
    row |= level_figures(evidence, own, controls["shuffled"], shown, measure=scale.measure, density=density, rule=rule)
    return row | _near_miss(rule, judged)


def _near_miss(rule: TokenRule, judged: Judged) -> dict[str, Any]:
    """Firing against silent windows of the same token, by judge and token list."""
    own, listed = near_miss_accuracy(judged, task=rule.task), near_miss_of_list(judged, rule=rule)
    if own is None or listed is None:
        return {}
    alone = near_miss_alone(judged, rule=rule)
    return {
        "near_miss": own.balanced_accuracy,
        "n_near_miss_tokens": own.n_tokens,
        "lookup_near_miss": listed.balanced_accuracy,
        "near_miss_beyond_token": own.balanced_accuracy - listed.balanced_accuracy,
        "near_miss_alone": None if alone is None else alone.balanced_accuracy,
    }


def _description(evidence: Evidence, explanation: Explanation | None) -> dict[str, Any]:
    return {
        "dictionary": evidence.dictionary,
        "feature": evidence.feature,
        "site": evidence.site,
        "density": evidence.density,
        "max_activation": evidence.max_activation,
        "explanation": explanation.text if explanation else None,
        "explain_judge": explanation.judge if explanation else None,
        "explain_prompt_hash": explanation.prompt_hash if explanation else None,
        "explain_failure": explanation.failure if explanation else None,
    }


def _unscored(
    evidence: Evidence, explanation: Explanation | None, counts: Confusion, unscorable: str | None, scale: Scale
) -> str | None:
    """The reason for no score. Unparsed and refused answers are wrong answers; with errors alone, nobody answered."""
    if evidence.unscored is not None:
        return evidence.unscored
    if counts.n == 0 and unscorable is not None:
        return unscorable
    failed = scale.needs_explanation and explanation is not None and explanation.text is None
    if failed or counts.n == 0 or counts.error == counts.n:
        return "judge"
    if counts.n_positive == 0:
        return "too_few_positives"
    return "too_few_negatives" if counts.n_negative == 0 and scale.measure not in _ONE_LABEL else None


def _metrics(own: Sequence[Verdict], windows: Mapping[str, Window], scale: Scale) -> dict[str, Any]:
    if scale.measure == "choices":
        figures: dict[str, Any] = {"accuracy": accuracy(confusion_of(own).strict()), "chance": scale.chance}
    elif scale.measure == "activations":
        figures = simulation_figures(own, windows) | {"chance": 0.0}
    elif scale.measure == "firings":
        figures = firing_figures(own, windows)
    elif scale.measure == "strata":
        figures = _answers(confusion_of(own), own) | strata_figures(own, windows)
    elif scale.measure == "points":
        figures = _points(own) | {"chance": None}
    elif scale.measure == "ranks":
        figures = _ranking(own) | {"chance": 0.5}
    else:
        figures = _answers(confusion_of(own), own)
        figures["chance"] = figures[f"always_yes_{heading_of(scale)}"]
    return figures | {"score": figures[heading_of(scale)]}


def _points(own: Sequence[Verdict]) -> dict[str, Any]:
    """Shares of the points of each criterion, and of all that were asked for; what cannot be read gets none."""
    shares = {verdict.window: verdict.probability or 0.0 for verdict in own if verdict.answer != "error"}
    points = sum(share * CRITERIA[name].most for name, share in shares.items())
    most = sum(CRITERIA[name].most for name in shares)
    return {"rubric": points / most if most else None, **{f"rubric_{name}": v for name, v in shares.items()}}


def _ranking(own: Sequence[Verdict]) -> dict[str, Any]:
    known = [v for v in own if v.probability is not None]
    truth, probabilities = [v.is_firing for v in known], [v.probability or 0.0 for v in known]
    return {"auroc": auroc(truth, probabilities), "brier": brier(truth, probabilities)}


def _calibration(own: Sequence[Verdict]) -> tuple[float, ...] | None:
    known = [v for v in own if v.probability is not None]
    if not known:
        return None
    return calibration_counts([v.is_firing for v in known], [v.probability or 0.0 for v in known])


def _answers(counts: Confusion, own: Sequence[Verdict]) -> dict[str, Any]:
    strict, lenient = counts.strict(), counts.lenient()
    labels = (counts.n_positive, counts.n_negative)
    return {
        "f1": f1(strict),
        "f1_lenient": f1(lenient),
        "precision": precision(strict),
        "recall": recall(strict),
        "balanced_accuracy": balanced_accuracy(strict),
        "balanced_accuracy_lenient": balanced_accuracy(lenient),
        "matthews": matthews(strict),
        "kappa": kappa(strict),
        "accuracy": accuracy(strict),
        **_ranking(own),
        "calibration": _calibration(own),
        "macro_f1": macro_f1(strict),
        "always_yes_f1": always_yes_f1(*labels),
        "always_yes_macro_f1": always_yes_macro_f1(*labels),
        "always_no_accuracy": always_no_accuracy(*labels),
        "coin_f1": coin_f1(*labels),
    }


def _controlled(
    control: str, own: Mapping[str, Any], judged: Sequence[Verdict], windows: Mapping[str, Window], scale: Scale
) -> dict[str, Any]:
    """Own score minus a control explanation's; null without a control that was answered."""
    counts = confusion_of(judged)
    if counts.error >= counts.n:
        return {}
    theirs = _metrics(judged, windows, scale)
    measure = "balanced_accuracy" if theirs.get("balanced_accuracy") is not None else "score"
    values = (own[measure], theirs[measure])
    excess = None if None in values else values[0] - values[1]
    if control != "shuffled":
        return {f"{control}_score": theirs["score"], f"{control}_excess": excess}
    return {
        "shuffled_score": theirs["score"],
        "shuffled_balanced_accuracy": theirs.get("balanced_accuracy"),
        "shuffled_f1": theirs.get("f1"),
        "excess": excess,
    }


def _lookups(
    evidence: Evidence, rule: TokenRule, labelled: Sequence[tuple[Window, bool]], *, own_accuracy: float | None
) -> dict[str, Any]:
    """What the token list and the kind of document reach, and balanced accuracy beyond each."""
    by_token = lookup_table(rule, labelled)
    token, domain = balanced_accuracy(by_token), balanced_accuracy(lookup_table(fit_domain_rule(evidence), labelled))
    return {
        "lookup_balanced_accuracy": token,
        "lookup_f1": f1(by_token),
        "beyond_token": _minus(own_accuracy, token),
        "n_lookup_tokens": len(rule.token_ids),
        "lookup_domain": domain,
        "beyond_domain": _minus(own_accuracy, domain),
    }


def _within_domain(own: Sequence[Verdict], shuffled: Sequence[Verdict]) -> dict[str, Any]:
    """Balanced accuracy and excess over firing windows and silent ones of their domain."""
    counts = [
        confusion_of([v for v in verdicts if v.is_firing or v.kind in WITHIN_DOMAIN]) for verdicts in (own, shuffled)
    ]
    mine, other = (balanced_accuracy(each.strict()) if each.error < each.n else None for each in counts)
    return {"within_domain": mine, "excess_within_domain": _minus(mine, other)}


def _minus(value: float | None, other: float | None) -> float | None:
    return None if value is None or other is None else value - other
