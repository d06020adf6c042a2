"""The metrics of a feature, one row each with names, range and places; `board.score_row` computes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

from autointerp.records.window import Kind
from autointerp.score.rubric import CRITERIA
from autointerp.score.scorer import Measure, Scale

__all__ = ["CUT", "METRICS", "SILENT_KINDS", "Metric", "bounds_of", "heading_of", "metrics_in", "title_of"]

Where = Literal["entry", "compare", "csv", "page"]

# Kinds of silent windows, in column order.
SILENT_KINDS: tuple[Kind, ...] = (
    "random",
    "other",
    "near_miss",
    "neighbour",
    "embedding_near",
    "wrong_marks",
    "suppressed",
    "same_document",
    "same_family",
)

_HEADINGS: Mapping[Measure, str] = {
    "windows": "f1",
    "marks": "f1",
    "strata": "recall",
    "tokens": "f1",
    "firings": "token_f1",
    "activations": "correlation",
    "ranks": "auroc",
    "choices": "accuracy",
    "points": "rubric",
}


class Metric(NamedTuple):
    """One metric, strict unless named lenient."""

    name: str  # column in `scores.parquet`, key in `summary.json`
    title: str
    # `entry`: mean and interval in entries; `compare`: entries compared by it; `csv`: a CSV column; `page`: per feature
    where: str = ""
    is_signed: bool = False
    head: str = ""
    # Heading metrics beside which boards show it ("" for all), with the order in which columns are dropped for lack of
    # room: the lowest first, 0 in no narrow table.
    beside: Mapping[str, int] = {}
    place: int = 0  # columns from left to right; equal ones in table order
    # Label beside a feature's score on the page, for scores that are an F1 and for others.
    card: Mapping[Literal["f1", "other"], str] = {}

    @property
    def bounds(self) -> tuple[float, float]:
        return (-1.0, 1.0) if self.is_signed else (0.0, 1.0)

    def is_in(self, where: Where) -> bool:
        return where in self.where.split()

    def drop_beside(self, heading: str) -> int | None:
        """The order in which its column is dropped beside this heading metric; None without a column."""
        stem = heading.removeprefix("macro_").removesuffix(CUT)
        return next((self.beside[name] for name in (heading, stem, "") if name in self.beside), None)


CUT = "_cut"  # suffix of metrics whose features are cut to one firing rate (`board.level_figures`)

_RECALL, _F1, _TOKEN, _CORRELATION = "recall", "f1", "token_f1", "correlation"

# In column order of `scores.parquet`.
METRICS: tuple[Metric, ...] = (
    Metric("score", "score", "entry compare csv page"),
    Metric("chance", "chance", "page", place=-1, card={"other": "chance"}),
    Metric("f1", "F1", "entry compare csv page", head="F1", beside={_RECALL: 42, "f1_cut": 55}, place=2),
    Metric("macro_f1", "macro-F1", "entry compare csv page"),
    Metric("f1_lenient", "F1 lenient", "entry compare csv"),
    Metric("precision", "precision", "entry page", head="prec.", beside={_RECALL: 43}, place=1),
    Metric("recall", "recall", "entry page"),
    Metric(
        "recall_low",
        "recall, weak firings",
        "entry page",
        head="weak",
        beside={_RECALL: 45},
        card={"other": "weak firings"},
    ),
    Metric(
        "recall_high",
        "recall, strong firings",
        "entry page",
        head="strong",
        beside={_RECALL: 44},
        card={"other": "strong firings"},
    ),
    Metric(
        "balanced_accuracy",
        "balanced accuracy",
        "entry compare csv page",
        head="bal.\nacc.",
        beside={_F1: 0},
        card={"f1": "bal. accuracy"},
    ),
    Metric("balanced_accuracy_lenient", "balanced accuracy lenient"),
    Metric("matthews", "matthews", "entry compare page", is_signed=True),
    Metric("kappa", "kappa", "entry", is_signed=True),
    Metric("accuracy", "accuracy", "entry compare csv page"),
    Metric("auroc", "AUROC", "entry compare csv page"),
    Metric("rubric", "rubric points", "entry compare csv page"),
    *(
        Metric(
            f"rubric_{name}", f"points, {name}", "entry page", head=name, beside={"rubric": 40}, card={"other": name}
        )
        for name in CRITERIA
    ),
    Metric("brier", "Brier (0 best)", "entry page", head="Brier", beside={"auroc": 30}, card={"other": "Brier"}),
    Metric("correlation", "correlation", "entry compare csv page", is_signed=True),
    Metric(
        "correlation_top",
        "correlation, top",
        "entry compare csv",
        is_signed=True,
        head="top",
        beside={_CORRELATION: 44},
    ),
    Metric(
        "correlation_random",
        "correlation, random firings",
        "entry compare csv",
        is_signed=True,
        head="random",
        beside={_CORRELATION: 43},
    ),
    Metric(
        "within_window_correlation",
        "within windows",
        "entry compare page",
        is_signed=True,
        head="within\nwindow",
        beside={_CORRELATION: 45},
        card={"other": "within windows"},
    ),
    Metric(
        "rank_correlation",
        "rank correlation",
        "entry page",
        is_signed=True,
        head="rank",
        beside={_CORRELATION: 40},
        card={"other": "rank correlation"},
    ),
    Metric(
        "explained_variance",
        "variance explained",
        "entry page",
        head="var.\nexpl.",
        beside={_CORRELATION: 30},
        card={"other": "variance explained"},
    ),
    Metric("rsquared", "R squared"),
    Metric("absolute_deviation_explained", "absolute deviation explained"),
    Metric("token_f1", "token F1", "entry"),
    Metric(
        "token_precision",
        "token precision",
        "entry page",
        head="prec.",
        beside={_TOKEN: 45},
        card={"other": "token precision"},
    ),
    Metric(
        "token_recall", "token recall", "entry page", head="recall", beside={_TOKEN: 44}, card={"other": "token recall"}
    ),
    Metric("always_yes_f1", "always yes", "page", place=-1, card={"f1": "always yes"}),
    Metric("always_yes_macro_f1", "always yes, macro-F1"),
    Metric("always_no_accuracy", "always no"),
    Metric("coin_f1", "coin"),
    Metric("lookup_balanced_accuracy", "look-up balanced accuracy", "entry page"),
    Metric("lookup_f1", "look-up F1", "entry"),
    Metric(
        "beyond_token",
        "beyond token",
        "entry compare csv page",
        is_signed=True,
        head="beyond\ntoken",
        beside={_F1: 40},
        place=6,
        card={"f1": "beyond token"},
    ),
    Metric("lookup_domain", "look-up domain", "entry page"),
    Metric(
        "beyond_domain",
        "beyond domain",
        "entry compare csv page",
        is_signed=True,
        head="beyond\ndomain",
        beside={_F1: 9},
        place=6,
        card={"f1": "beyond domain"},
    ),
    Metric("within_domain", "bal. accuracy within domain", "entry compare csv"),
    Metric(
        "excess_within_domain",
        "excess within domain",
        "entry compare csv page",
        is_signed=True,
        head="excess,\ndomain",
        beside={_F1: 10},
        place=3,
        card={"f1": "excess within domain"},
    ),
    Metric("near_miss", "near miss", "entry compare csv page", beside={_F1: 0}, place=7, card={"f1": "near miss"}),
    Metric("lookup_near_miss", "look-up near miss", "entry page"),
    Metric(
        "near_miss_beyond_token",
        "near miss beyond token",
        "entry compare csv page",
        is_signed=True,
        head="near miss\nb. token",
        beside={_F1: 30},
        place=7,
        card={"f1": "near miss beyond token"},
    ),
    Metric("near_miss_alone", "near miss, token alone", "entry compare csv", beside={_F1: 0}, place=7),
    Metric("shuffled_score", "shuffled score"),
    Metric("shuffled_balanced_accuracy", "shuffled balanced accuracy", "entry"),
    Metric("shuffled_f1", "shuffled F1"),
    Metric(
        "excess",
        "excess",
        "entry compare csv page",
        is_signed=True,
        head="excess",
        beside={"": 50, "f1_cut": 12},
        place=3,
        card={"f1": "excess", "other": "excess"},
    ),
    Metric("empty_score", "empty score"),
    Metric("empty_excess", "over empty", "entry", is_signed=True, head="over\nempty", beside={"": 6}, place=5),
    Metric("generic_score", "generic score"),
    Metric("generic_excess", "over generic", "entry", is_signed=True, head="over\ngeneric", beside={"": 7}, place=4),
    Metric("prevalence", "prevalence", "entry"),
    Metric(
        "population_recall", "population recall", "entry", head="pop.\nrecall", beside={_F1: 5, _RECALL: 5}, place=8
    ),
    Metric("precision_at_prevalence", "precision in text", head="prec.\nin text", beside={_F1: 4, _RECALL: 4}, place=8),
    Metric("f1_at_prevalence", "F1 in text", head="F1 in\ntext", beside={_F1: 3, _RECALL: 3}, place=8),
    Metric("f1_cut", "F1 at one density", "entry compare csv page", card={"f1": "F1 at one density"}),
    Metric("lookup_f1_cut", "look-up F1 at one density", "entry"),
    Metric("balanced_accuracy_cut", "balanced accuracy at one density", "entry compare csv"),
    Metric("over_weak_cut", "strong against weak firings", "entry"),
    Metric(
        "excess_cut",
        "excess at one density",
        "entry compare csv",
        is_signed=True,
        head="excess,\n1 density",
        beside={"f1_cut": 50},
        place=3,
    ),
    Metric("beyond_token_cut", "beyond token at one density", "entry compare csv", is_signed=True),
    *(Metric(f"specificity_{kind}", f"silent kept silent, {kind}", "entry") for kind in SILENT_KINDS),
)

_BY_NAME = {metric.name: metric for metric in METRICS}


def heading_of(scale: Scale) -> str:
    """The metric in `score`, which ranks a scorer's entries."""
    return scale.heading or _HEADINGS[scale.measure]


def metrics_in(where: Where) -> tuple[Metric, ...]:
    return tuple(metric for metric in METRICS if metric.is_in(where))


def title_of(name: str) -> str:
    """The title of a metric, or the name of another tool's."""
    return _BY_NAME[name].title if name in _BY_NAME else name.replace("_", " ")


def bounds_of(name: str) -> tuple[float, float]:
    """The range of a metric; another tool's is 0 to 1 unless a correlation."""
    known = _BY_NAME.get(name)
    if known is not None:
        return known.bounds
    return (-1.0, 1.0) if "correlation" in name else (0.0, 1.0)
