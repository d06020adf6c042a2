"""One feature's F1 with its documents resampled, and the share of the spread over features that windows make."""

from __future__ import annotations

from dataclasses import replace

import pytest

from autointerp.board.entries import build_entries
from autointerp.board.feature_noise import WindowShares, f1_interval
from autointerp.board.score_table import ScoreGroup
from autointerp.board.scores import build_scores, group_verdicts
from tests.board.synthetic import Run, make_run

GROUP = ScoreGroup("windows", "detection", "scripted", "s-detection")


def shares_of(run: Run) -> dict[tuple[str, ScoreGroup], float]:
    shares, known = WindowShares(), {(e.dictionary, e.feature): e for e in run.evidences}
    for (dictionary, feature, group), verdicts in sorted(group_verdicts(run.verdicts).items()):
        shares.add(known[dictionary, feature], group, verdicts)
    return shares.find()


def test_the_value_is_that_of_the_table_and_the_interval_holds_it() -> None:
    run = make_run({"sae": "noisy"}, n_features=4)
    scores = build_scores(run.evidences, run.explanations, run.verdicts).set_index("feature")
    answers = group_verdicts(run.verdicts)
    for evidence in run.evidences:
        found = f1_interval(evidence, answers["sae", evidence.feature, GROUP], scorer="detection")
        assert found is not None
        assert found.mean == pytest.approx(scores.loc[evidence.feature, "f1"])
        # a feature without a single error has no spread to be resampled
        assert (found.lo < found.mean < found.hi) == (found.mean < 1.0)
        # every window is of a document of its own here; 20 firing and 20 silent ones were asked about
        assert found.n == scores.loc[evidence.feature, "n_positive"] + scores.loc[evidence.feature, "n_negative"]


def test_windows_of_one_document_are_drawn_together() -> None:
    run = make_run({"sae": "noisy"}, n_features=1)
    (evidence,) = run.evidences
    (answers,) = group_verdicts(run.verdicts).values()
    apart = f1_interval(evidence, answers, scorer="detection")
    # five windows to a document: the same windows say less
    clumped = replace(
        evidence, windows=tuple(replace(w, document=f"{w.kind}{i // 5}") for i, w in enumerate(evidence.windows))
    )
    found = f1_interval(clumped, answers, scorer="detection")
    assert apart is not None
    assert found is not None
    assert found.n < apart.n / 3
    assert found.mean == apart.mean
    assert f1_interval(evidence, [], scorer="detection") is None


@pytest.mark.parametrize(("manner", "low", "high"), [("coin", 0.6, 1.0), ("noisy", 0.1, 0.75)])
def test_a_coin_spreads_by_chance_alone_and_features_of_several_skills_do_not(manner, low: float, high: float) -> None:
    run = make_run({"sae": manner}, n_features=30)
    shares = shares_of(run)
    assert low <= shares["sae", GROUP] <= high
    (entry,) = build_entries(build_scores(run.evidences, run.explanations, run.verdicts), seed=0, window_shares=shares)
    assert entry["window_share"] == shares["sae", GROUP]


def test_the_oracle_leaves_nothing_to_share() -> None:
    run = make_run({"sae": "oracle"}, n_features=5)
    assert shares_of(run) == {}
