from __future__ import annotations

from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from autointerp.board.entries import build_entries
from autointerp.board.scores import build_scores
from autointerp.runs.reply_record import Account
from autointerp.score.scorer import Scale
from autointerp.stats.baselines import coin_f1
from tests.board.synthetic import make_run


@pytest.fixture(scope="module")
def scores() -> pd.DataFrame:
    run = make_run({"good": "oracle", "coin": "coin", "mumble": "mumbler", "noisy": "noisy"}, n_features=20)
    return build_scores(run.evidences, run.explanations, run.verdicts)


@pytest.fixture(scope="module")
def entries(scores: pd.DataFrame) -> dict[str, dict[str, Any]]:
    return {entry["name"]: entry for entry in build_entries(scores, seed=3)}


def test_scripted_judges_land_where_they_must(entries: dict[str, dict[str, Any]]):
    good, coin, mumble = entries["good"], entries["coin"], entries["mumble"]
    assert good["f1"] is not None
    assert (good["f1"]["mean"], good["f1"]["n"]) == (1.0, 20)
    assert coin["f1"] is not None
    assert coin["f1"]["lo"] < coin_f1(20, 20) < coin["f1"]["hi"]
    assert coin["near_miss"] is not None
    # 20 features of 40 windows: the standard error is 0.018.
    assert coin["near_miss"]["mean"] == pytest.approx(0.5, abs=0.05)
    assert coin["excess"] is not None
    assert coin["excess"]["lo"] < 0 < coin["excess"]["hi"]
    assert mumble["f1"] is not None
    assert (mumble["f1"]["mean"], mumble["unparsed_frac"], mumble["f1_lenient"]) == (0.0, 1.0, None)


def test_means_and_counts_are_those_of_the_table(scores: pd.DataFrame, entries: dict[str, dict[str, Any]]):
    rows, entry = scores[scores["dictionary"] == "noisy"], entries["noisy"]
    assert entry["f1"] is not None
    assert entry["f1"]["mean"] == pytest.approx(rows["f1"].mean())
    assert entry["f1"]["lo"] < entry["f1"]["mean"] < entry["f1"]["hi"]
    assert entry["f1_median"] == pytest.approx(rows["f1"].median())
    assert entry["f1_deviation"] == pytest.approx(rows["f1"].std())
    assert entry["excess"] is not None
    assert entry["excess"]["n"] == rows["excess"].notna().sum() == 10
    assert entry["baselines"]["always_yes_f1"] == pytest.approx(2 / 3)
    assert entry["unparsed_frac"] == pytest.approx(rows["unparsed"].sum() / 800)
    assert (entry["explainer"], entry["scorer"], entry["judge"], entry["prompt_hash"]) == (
        "windows",
        "detection",
        "scripted",
        "s-detection",
    )


def test_one_number_under_two_names_has_one_interval(entries: dict[str, dict[str, Any]]):
    for entry in entries.values():
        assert entry["metric"] == "f1"
        assert entry["score"] == entry["f1"]


def test_an_entry_is_the_same_whatever_else_is_on_the_board(scores: pd.DataFrame, entries: dict[str, dict[str, Any]]):
    alone = build_entries(scores[scores["dictionary"] == "noisy"], seed=3)
    assert alone == [entries["noisy"]]
    assert build_entries(scores[scores["dictionary"] == "noisy"], seed=4) != alone


def test_unscored_features_are_counted_by_reason_and_kept_out_of_the_means():
    run = make_run({"sae": "oracle"}, n_features=5)
    evidences = [
        replace(e, unscored=reason)
        for e, reason in zip(
            run.evidences, ["too_few_positives", "too_few_positives", "too_few_negatives", None, None], strict=True
        )
    ]
    dead = evidences[3].feature
    verdicts = [replace(v, answer="error") if v.feature == dead else v for v in run.verdicts]
    (entry,) = build_entries(build_scores(evidences, run.explanations, verdicts), seed=0)
    assert (entry["n_sampled"], entry["n_scored"]) == (5, 1)
    assert entry["unscored"] == {"too_few_positives": 2, "too_few_negatives": 1, "judge": 1}
    assert entry["error_frac"] == pytest.approx(0.2)
    # One feature says nothing about the spread: the interval is the whole range.
    assert entry["f1"] is not None
    assert (entry["f1"]["mean"], entry["f1"]["lo"], entry["f1"]["hi"]) == (1.0, 0.0, 1.0)


def test_nothing_scored_gives_nulls_and_not_nan():
    run = make_run({"sae": "oracle"}, n_features=2)
    scores = build_scores(
        run.evidences, [], [], explainers=["windows"], scorers={"detection": Scale()}, judge="pattern"
    )
    (entry,) = build_entries(scores, seed=0)
    assert (entry["explainer"], entry["n_scored"], entry["f1"], entry["f1_median"]) == ("windows", 0, None, None)
    assert entry["baselines"]["coin_f1"] is None
    assert entry["unparsed_frac"] == 0.0


def test_costs_quality_and_order(scores: pd.DataFrame):
    costs = {
        Account("good", "windows", None): 0.5,
        Account("good", "windows", "detection"): 1.25,
        Account("coin", "windows", "detection"): None,
    }
    quality = {"good": {"l0": 31.0, "normalised_mse": float("nan")}}
    found = build_entries(scores, seed=0, costs=costs, quality=quality, order=["noisy", "good", "coin"])
    assert [entry["name"] for entry in found] == ["noisy", "good", "coin", "mumble"]
    assert [entry["usd"] for entry in found] == [0.0, 1.75, None, 0.0]
    assert [entry["usd"] for entry in build_entries(scores, seed=0, costs={})] == [0.0] * 4
    assert [entry["usd"] for entry in build_entries(scores, seed=0)] == [None] * 4
    assert found[1]["quality"] == {"l0": 31.0, "normalised_mse": None}
