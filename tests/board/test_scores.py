from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from autointerp.board.columns import chances_of, measures_of
from autointerp.board.entries import build_entries
from autointerp.board.score_table import iter_rows
from autointerp.board.scores import build_scores
from autointerp.errors import ArtefactError
from autointerp.records.evidence import FiringCounts
from autointerp.records.planted import plant_evidence
from autointerp.records.verdict import Explanation, Unscored
from autointerp.score.scorer import Scale
from autointerp.stats.baselines import coin_f1, coin_macro_f1
from autointerp.stats.confusion import Table
from autointerp.stats.metrics import macro_f1
from tests.board.synthetic import Run, make_feature, make_run, verdict_of

MANNERS = {"good": "oracle", "liar": "liar", "coin": "coin", "mumble": "mumbler"}


def table(run: Run, **options) -> pd.DataFrame:
    return build_scores(run.evidences, run.explanations, run.verdicts, **options)


@pytest.fixture(scope="module")
def run() -> Run:
    return make_run(MANNERS, n_features=20)


@pytest.fixture(scope="module")
def scores(run: Run) -> pd.DataFrame:
    return table(run)


def only(scores: pd.DataFrame, dictionary: str) -> pd.DataFrame:
    return scores[scores["dictionary"] == dictionary]


def test_the_oracle_is_right_everywhere(scores: pd.DataFrame):
    rows = only(scores, "good")
    for metric in ("f1", "f1_lenient", "balanced_accuracy", "matthews", "kappa", "near_miss", "precision", "recall"):
        assert (rows[metric] == 1.0).all(), metric
    # The planted near misses cannot be told apart by tokens, the random windows can.
    assert (rows["lookup_balanced_accuracy"] == 1.0).all()
    assert (rows["beyond_token"] == 0.0).all()


def test_the_liar_is_below_the_coin_and_the_coin_at_its_expectation(scores: pd.DataFrame):
    coin = only(scores, "coin")["f1"]
    assert (only(scores, "liar")["f1"] == 0.0).all()
    assert (only(scores, "liar")["matthews"] == -1.0).all()
    assert abs(coin.mean() - coin_f1(20, 20)) < 3 * coin.std() / np.sqrt(len(coin))


def test_the_mumbler_is_all_lost_and_never_the_better_for_it(scores: pd.DataFrame):
    rows = only(scores, "mumble")
    assert (rows["unparsed"] == rows["n_positive"] + rows["n_negative"]).all()
    assert (rows["f1"] == 0.0).all()
    assert rows["f1_lenient"].isna().all()
    assert (rows["balanced_accuracy"] == 0.0).all()
    assert rows["unscored"].isna().all()


def test_counts_and_baselines_are_those_of_the_windows_asked_about(scores: pd.DataFrame):
    assert (scores["n_positive"] == 20).all()
    assert (scores["n_negative"] == 20).all()
    assert (scores["n_near_miss"] == 20).all()
    assert scores["always_yes_f1"].round(4).eq(0.6667).all()
    cells = ["true_positive", "false_positive", "false_negative", "true_negative", "lost_positive", "lost_negative"]
    assert (scores[cells].sum(axis=1) == 40).all()


def test_excess_is_own_minus_shuffled_for_the_features_that_have_both(run: Run, scores: pd.DataFrame):
    has_control = {v.feature for v in run.verdicts if v.control}
    assert set(scores.loc[scores["excess"].notna(), "feature"]) == has_control
    assert len(has_control) == 10
    rows = scores[scores["excess"].notna()]
    assert np.allclose(rows["excess"], rows["balanced_accuracy"] - rows["shuffled_balanced_accuracy"])
    # A control in which no request came through measured nothing.
    dead = [replace(v, answer="error") if v.control else v for v in run.verdicts]
    assert build_scores(run.evidences, run.explanations, dead)["excess"].isna().all()


def test_the_order_of_the_records_changes_nothing(run: Run, scores: pd.DataFrame):
    order = np.random.default_rng(0).permutation(len(run.verdicts))
    shuffled = Run(run.evidences[::-1], run.explanations[::-1], [run.verdicts[i] for i in order])
    pd.testing.assert_frame_equal(scores, table(shuffled), check_exact=True)


def test_every_sampled_feature_has_a_row_and_the_unscored_a_reason():
    run = make_run({"sae": "oracle"}, n_features=6)
    features = [evidence.feature for evidence in run.evidences]
    thin, unexplained, unasked, dead, lopsided, whole = features
    evidences = [replace(e, unscored="too_few_negatives") if e.feature == thin else e for e in run.evidences]
    told = [replace(x, text=None, failure="refused") if x.feature == unexplained else x for x in run.explanations]
    verdicts = [v for v in run.verdicts if v.feature != unasked and not (v.feature == lopsided and not v.is_firing)]
    verdicts = [replace(v, answer="error") if v.feature == dead else v for v in verdicts]
    rows = build_scores(evidences, told, verdicts).set_index("feature")
    reasons = rows["unscored"].to_dict()
    assert pd.isna(reasons.pop(whole))
    assert reasons == {
        thin: "too_few_negatives",
        unexplained: "judge",
        unasked: "judge",
        dead: "judge",
        lopsided: "too_few_negatives",
    }
    assert rows["f1"].notna().sum() == 1
    assert rows.loc[dead, "error"] == 40
    assert rows.loc[unexplained, "explain_failure"] == "refused"


def test_a_scorer_without_a_verdict_still_has_rows():
    run = make_run({"sae": "oracle"}, n_features=2)
    scorers = {"detection": Scale(), "marked": Scale("marks")}
    rows = build_scores(run.evidences, [], [], explainers=["windows"], scorers=scorers, judge="pattern")
    assert list(rows["scorer"]) == ["detection", "marked"] * 2
    assert set(rows["judge"]) == {"pattern"}
    assert set(rows["unscored"]) == {"judge"}


def test_several_explainers_are_kept_apart_and_each_is_shown_with_its_own_text():
    run = make_run({"sae": "oracle"}, n_features=2)
    told = [replace(e, explainer="logits", text="another text") for e in run.explanations]
    wrong = [replace(v, explainer="logits", answer="fires") for v in run.verdicts]
    rows = build_scores(run.evidences, [*run.explanations, *told], [*run.verdicts, *wrong])
    assert rows.groupby("explainer")["f1"].mean().round(3).to_dict() == {"logits": 0.667, "windows": 1.0}
    assert set(rows.loc[rows["explainer"] == "logits", "explanation"]) == {"another text"}


def test_several_scorers_and_judges_are_kept_apart():
    run = make_run({"sae": "oracle"}, n_features=2, scorers=("detection", "marked"))
    second = [replace(v, judge="other", answer="fires") for v in run.verdicts if v.scorer == "marked"]
    rows = build_scores(run.evidences, run.explanations, [*run.verdicts, *second])
    assert len(rows) == 2 * 3
    f1 = rows.groupby(["scorer", "judge"])["f1"].mean().round(3).to_dict()
    assert f1 == {("detection", "scripted"): 1.0, ("marked", "scripted"): 1.0, ("marked", "other"): 0.667}


def test_probabilities_give_auroc_and_brier_and_their_absence_does_not():
    run = make_run({"sae": "oracle"}, n_features=1)
    known = [replace(v, probability=0.8 if v.is_firing else 0.3) for v in run.verdicts]
    row = build_scores(run.evidences, run.explanations, known).iloc[0]
    assert row["auroc"] == 1.0
    assert row["brier"] == pytest.approx((0.04 + 0.09) / 2)
    assert table(run).loc[0, ["auroc", "brier"]].isna().all()


def test_predicted_activations_are_scored_by_correlation_and_a_lost_window_counts_as_silent():
    run = make_run({"sae": "oracle"}, n_features=2)
    windows = {w.id: w for e in run.evidences for w in e.windows}
    own = [v for v in run.verdicts if v.control is None]
    told = [replace(v, predictions=tuple(10 * a for a in windows[v.window].activations)) for v in own]
    scorers = {"detection": Scale("activations")}
    rows = build_scores(run.evidences, run.explanations, told, explainers=["windows"], scorers=scorers)
    assert set(rows["metric"]) == {"correlation"}
    assert rows[["score", "correlation", "explained_variance"]].to_numpy() == pytest.approx(1.0)
    assert rows["f1"].isna().all()
    lost = [v if i % 2 else replace(v, predictions=None, answer="unparsed") for i, v in enumerate(told)]
    less = build_scores(run.evidences, run.explanations, lost, explainers=["windows"], scorers=scorers)
    assert (less["score"] < 0.95).all()


def test_choices_are_scored_against_their_own_chance_and_need_no_silent_ones():
    run = make_run({"sae": "oracle"}, n_features=1)
    trials = [
        replace(v, explainer="none", window=f"trial {i}", is_firing=True, answer="fires" if i < 3 else "silent")
        for i, v in enumerate(v for v in run.verdicts if v.is_firing and v.control is None)
    ][:4]
    scorers = {"detection": Scale("choices", chance=0.2, needs_explanation=False)}
    (row,) = iter_rows(build_scores(run.evidences, [], trials, explainers=["windows"], scorers=scorers))
    assert (row["explainer"], row["metric"], row["score"], row["chance"]) == ("none", "accuracy", 0.75, 0.2)
    assert row["unscored"] is None


def test_excess_of_a_ranking_is_in_auroc():
    run = make_run({"sae": "oracle"}, n_features=1)
    told = [replace(v, probability=0.5 if v.control else 0.1 + 0.8 * v.is_firing) for v in run.verdicts]
    scorers = {"detection": Scale("ranks")}
    (row,) = iter_rows(build_scores(run.evidences, run.explanations, told, explainers=["windows"], scorers=scorers))
    assert (row["score"], row["chance"], row["shuffled_score"], row["excess"]) == (1.0, 0.5, 0.5, 0.5)


def test_negatives_of_another_feature_are_found_and_unknown_windows_leave_the_lookup_unmeasured():
    run = make_run({"sae": "oracle"}, n_features=3, scorers=("marked",))
    first, second, third = run.evidences
    lent = second.select("score", "top")
    # Another feature holds one of the same stretches of text with another candidate: it is not the lender.
    decoy = replace(lent[0], candidate=0)
    third = replace(third, windows=(*third.windows, decoy))
    own = [v for v in run.verdicts if v.feature == first.feature and v.is_firing]
    borrowed = [replace(own[0], window=w.id, kind="other", is_firing=False, answer="silent") for w in lent]
    verdicts = [*own, *borrowed]
    row = build_scores([first, third, second], run.explanations, verdicts).iloc[0]
    assert row["feature"] == first.feature
    assert (row["n_positive"], row["n_negative"], row["f1"]) == (20, len(lent), 1.0)
    # The lender's maximum is another token than this feature's: a list of tokens tells them apart by the mark.
    assert row["lookup_balanced_accuracy"] == 1.0
    alone = build_scores([first], run.explanations, verdicts).iloc[0]
    assert alone["f1"] == 1.0
    assert pd.isna(alone["beyond_token"])


def test_a_scorers_own_reason_is_kept():
    run = make_run({"sae": "oracle"}, n_features=2)
    reasons = [Unscored("sae", 0, "windows", "detection", "too_few_positives", "so few")]
    scorers = {"detection": Scale()}
    rows = build_scores(run.evidences, run.explanations, [], explainers=["windows"], scorers=scorers, unscored=reasons)
    assert list(rows["unscored"]) == ["too_few_positives", "judge"]


def test_contradictions_are_errors_and_repetitions_are_not():
    run = make_run({"sae": "oracle"}, n_features=1)
    pd.testing.assert_frame_equal(
        table(run), build_scores(run.evidences, run.explanations * 2, [*run.verdicts, *run.verdicts])
    )
    with pytest.raises(ArtefactError, match=r"window 'sae/0/.*two verdicts that differ"):
        build_scores(run.evidences, [], [*run.verdicts, replace(run.verdicts[0], answer="error")])
    other = Explanation("sae", 0, "windows", "scripted", "e2", "another text")
    with pytest.raises(ArtefactError, match="feature 0 of dictionary 'sae' has several explanations"):
        build_scores(run.evidences, [*run.explanations, other], [])


def test_no_evidence_gives_an_empty_table():
    assert len(build_scores([], [], [])) == 0
    assert (
        "f1"
        in build_scores(
            [make_feature("sae", 1)], [], [], explainers=["windows"], scorers={"marked": Scale("marks")}
        ).columns
    )


def test_kinds_and_fixed_controls_have_columns_of_their_own():
    run = make_run({"d": "oracle"}, n_features=3)
    neighbour = [
        replace(verdict, kind="neighbour", answer="fires")
        for verdict in run.verdicts
        if verdict.kind == "near_miss" and verdict.control is None
    ]
    others = [v for v in run.verdicts if v.kind != "near_miss" and v.control is None]
    empty = [replace(v, control="empty", answer="silent") for v in others if v.feature == 0]
    scores = build_scores(run.evidences, run.explanations, [*others, *neighbour, *empty])
    assert (scores["specificity_neighbour"] == 0.0).all()
    assert (scores["n_neighbour"] == 20).all()
    assert (scores["specificity_random"] == 1.0).all()
    assert (scores["f1"] == 1.0).all(), "windows that mislead are no part of F1"
    assert scores["specificity_near_miss"].isna().all()
    first, *rest = scores["empty_excess"]
    assert first == 0.5
    assert all(np.isnan(rest))
    assert scores["generic_excess"].isna().all()
    (entry,) = build_entries(scores, seed=0)
    assert {kind: interval["mean"] for kind, interval in entry["specificity"].items()} == {
        "random": 1.0,
        "neighbour": 0.0,
    }
    assert entry["empty_excess"] is not None
    assert (entry["empty_excess"]["mean"], entry["empty_excess"]["n"]) == (0.5, 1)
    assert entry["precision_at_prevalence"] is None, "nobody counted what the windows stand for"


def test_what_windows_stand_for_reaches_the_entry():
    run = make_run({"d": "noisy"}, n_features=4)
    counts = FiringCounts((), (10, 6, 4, 2, 1), n_windows=2000, n_firing=20)
    evidences = [replace(evidence, counts=counts) for evidence in run.evidences]
    verdicts = [replace(v, share=0.05 if v.is_firing else None) for v in run.verdicts if v.control is None]
    scores = build_scores(evidences, run.explanations, verdicts)
    np.testing.assert_allclose(scores["population_recall"], scores["recall"])
    assert (scores["prevalence"] == 0.01).all()
    recall, false_alarm = scores["recall"], 1 - scores["specificity_random"]
    (entry,) = build_entries(scores, seed=0)
    assert entry["precision_at_prevalence"] is not None
    called = 0.01 * recall + 0.99 * false_alarm
    assert entry["precision_at_prevalence"]["mean"] == pytest.approx((0.01 * recall).sum() / called.sum())
    assert entry["population_recall"] is not None
    assert entry["population_recall"]["mean"] == pytest.approx(recall.mean())


def test_a_board_headed_by_macro_f1_has_the_lines_of_macro_f1() -> None:
    run = make_run({"sae": "coin"}, n_features=6)
    scores = build_scores(
        run.evidences, run.explanations, run.verdicts, scorers={"detection": Scale(heading="macro_f1")}
    )
    assert set(scores["metric"]) == {"macro_f1"}
    tables = scores[["true_positive", "false_positive", "false_negative", "true_negative"]].to_numpy()
    values = [macro_f1(Table(*map(int, cells))) for cells in tables]
    assert scores["score"].tolist() == pytest.approx(values)
    (entry,) = build_entries(scores, seed=0)
    assert [(chance.title, chance.value) for chance in chances_of(entry, "macro_f1")] == [
        ("always yes", pytest.approx(1 / 3)),
        ("coin", pytest.approx(coin_macro_f1(20, 20))),
    ]
    assert "near_miss" in [metric.name for metric in measures_of("macro_f1", [entry])]


def test_correlations_over_top_and_over_random_firings_stand_beside_that_over_all() -> None:
    base = plant_evidence()
    top = base.select("score", "top")[:4]
    drawn = tuple(replace(w, id=f"drawn{i}", kind="drawn") for i, w in enumerate(base.select("score", "bin")[:4]))
    evidence = replace(base, windows=(*base.select("explain"), *top, *drawn))
    verdicts = [
        # right about the strongest, and about random firings the wrong way round
        verdict_of(
            evidence,
            w,
            "fires",
            scorer="simulation",
            predictions=tuple(a if w.kind == "top" else -a for a in w.activations),
        )
        for w in (*top, *drawn)
    ]
    explanation = Explanation(evidence.dictionary, evidence.feature, "windows", "scripted", "p", "text")
    row = build_scores([evidence], [explanation], verdicts, scorers={"simulation": Scale("activations")}).iloc[0]
    assert pd.isna(row["unscored"])
    assert row["correlation_top"] == pytest.approx(1.0)
    assert row["correlation_random"] == pytest.approx(-1.0)
    assert -1 < row["correlation"] < 1
