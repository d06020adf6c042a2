from __future__ import annotations

from dataclasses import replace
from typing import get_args

from autointerp.board.feature_data import Findings, feature_card, windows_per_feature
from autointerp.board.score_table import ScoreGroup
from autointerp.board.scores import group_verdicts
from autointerp.records.window import ACTIVATING, Kind
from tests.board.synthetic import Run, make_run

GROUP = ScoreGroup("windows", "detection", "scripted", "s-detection")


def card(run: Run, n_windows: int) -> dict:
    (evidence,) = run.evidences
    verdicts = group_verdicts(run.verdicts)[evidence.dictionary, evidence.feature, GROUP]
    return feature_card(evidence, Findings({GROUP: verdicts}, {}), groups={GROUP: 0}, n_judged=n_windows - 2, n_seen=2)


def test_budget_is_shared_and_never_below_the_least():
    assert windows_per_feature(100, budget=10_000) == 24
    assert windows_per_feature(1000, budget=10_000) == 10
    assert windows_per_feature(1_000_000, budget=10_000) == 6
    assert windows_per_feature(0, budget=10_000) == 24


def test_cut_windows_keep_every_kind_and_say_how_many_there_were():
    found = card(make_run({"sae": "noisy"}, n_features=1), n_windows=10)
    assert {window["kind"] for window in found["judged"]} == {"top", "bin", "near_miss", "random"}
    assert len(found["judged"]) == 8
    assert (found["nJudged"], found["nSeen"]) == (60, 20)
    assert [window["fires"] for window in found["judged"]] == sorted(
        (window["fires"] for window in found["judged"]), reverse=True
    )


def test_no_kind_of_window_is_left_off_the_page():
    run = make_run({"sae": "oracle"}, n_features=1)
    (evidence,) = run.evidences
    silent = evidence.select("score", "random")[0]
    for kind in get_args(Kind):
        window = replace(silent, id=f"as {kind}", document=f"as {kind}", kind=kind)
        asked = replace(evidence, windows=(*evidence.windows, window))
        verdict = replace(run.verdicts[0], window=window.id, kind=kind, is_firing=kind in ACTIVATING, control=None)
        found = feature_card(asked, Findings({GROUP: (verdict,)}, {}), groups={GROUP: 0}, n_judged=8, n_seen=2)
        assert [shown["kind"] for shown in found["judged"]] == [kind]


def test_which_windows_are_kept_does_not_depend_on_the_answers():
    right, wrong = (card(make_run({"sae": manner}, n_features=1), n_windows=10) for manner in ("oracle", "liar"))
    assert [w["doc"] for w in right["judged"]] == [w["doc"] for w in wrong["judged"]]
    assert right["judged"][0]["answers"][0][2] == "fires"
    assert wrong["judged"][0]["answers"][0][2] == "silent"


def test_windows_carry_tokens_activations_and_mark():
    run = make_run({"sae": "oracle"}, n_features=1)
    by_document = {window.document: window for window in run.evidences[0].windows}
    for shown in card(run, n_windows=24)["judged"]:
        window = by_document[shown["doc"]]
        assert "".join(shown["tokens"]) == window.text
        assert shown["mark"] == window.candidate
        assert [i for i, _ in shown["acts"]] == [i for i, a in enumerate(window.activations) if a > 0]
