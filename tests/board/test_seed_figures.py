"""An entry trained with several seeds: one row of the board over all of them, with what each found beside it."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from autointerp.board.comparison import compare_within, render_comparisons
from autointerp.board.entries import Dead, build_entries
from autointerp.board.leaderboard import render_leaderboard
from autointerp.board.score_table import ScoreGroup, iter_rows
from autointerp.board.scores import build_scores
from autointerp.board.standing import build_sections
from autointerp.board.summary import build_summary
from autointerp.runs.reply_record import Account
from tests.board.synthetic import make_run

GROUP = ScoreGroup("windows", "detection", "scripted", "s-detection")
MANNERS = {"neurons": "noisy", "sae": "noisy", "sae.seed2": "coin", "sae.seed3": "oracle"}


@pytest.fixture(scope="module")
def scores() -> pd.DataFrame:
    run = make_run(MANNERS, n_features=10)
    return build_scores(run.evidences, run.explanations, run.verdicts)


def by_name(scores: pd.DataFrame, **options: Any) -> dict[str, dict[str, Any]]:
    return {entry["name"]: entry for entry in build_entries(scores, seed=3, **options)}


def test_seeds_are_one_entry_over_all_of_their_features(scores: pd.DataFrame) -> None:
    found = by_name(scores)
    assert list(found) == ["neurons", "sae"]
    rows = scores[scores["dictionary"] != "neurons"]
    sae = found["sae"]
    assert (sae["n_seeds"], sae["n_sampled"], sae["dictionary"]) == (3, 30, "sae")
    assert sae["f1"]["mean"] == pytest.approx(rows["f1"].mean())
    assert [each["dictionary"] for each in sae["by_seed"]] == ["sae", "sae.seed2", "sae.seed3"]
    means = rows.groupby("dictionary")["f1"].mean()
    assert {each["dictionary"]: each["f1"]["mean"] for each in sae["by_seed"]} == pytest.approx(means.to_dict())
    # a coin, a noisy judge and one that knows: three seeds say little of a fourth
    reach = 4.303 * means.std() / 3**0.5
    assert sae["f1"]["lo"] == pytest.approx(max(0.0, means.mean() - reach), abs=1e-3)
    assert sae["f1"]["hi"] == 1.0
    assert sum(share or 0 for share in sae["variance_shares"].values()) == pytest.approx(1.0)
    assert sae["variance_shares"]["seeds"] > 0.5


def test_an_entry_of_one_seed_is_what_it_was(scores: pd.DataFrame) -> None:
    alone = by_name(scores[scores["dictionary"].isin(["neurons", "sae"])])
    assert not {"n_seeds", "by_seed", "variance_shares"} & alone["sae"].keys()
    assert by_name(scores)["neurons"] == alone["neurons"]


def test_cost_is_the_sum_over_seeds_and_quality_their_mean(scores: pd.DataFrame) -> None:
    names = [name for name in MANNERS if name.startswith("sae")]
    costs = {Account(name, "windows", "detection"): 0.5 for name in names}
    quality = {name: {"l0": float(place), "n_features": 64} for place, name in enumerate(names)}
    sae = by_name(scores, costs=costs, quality=quality)["sae"]
    assert sae["usd"] == pytest.approx(1.5)
    assert sae["quality"] == {"l0": 1.0, "n_features": 64}
    cluster = {"limit": 1e-4, "live_frac": 0.5, "n_features": 32}
    with_cluster = quality | {names[1]: {**quality[names[1]], "ultralow": cluster}}
    assert by_name(scores, costs=costs, quality=with_cluster)["sae"]["quality"]["ultralow"] == cluster


def test_shares_of_windows_are_of_each_seed(scores: pd.DataFrame) -> None:
    shares = dict.fromkeys(((name, GROUP) for name in MANNERS), 0.5)
    found = by_name(scores, window_shares=shares)["sae"]
    split = found["variance_shares"]
    assert split["windows"] == pytest.approx(split["features"])
    assert found["window_share"] == pytest.approx(0.5)


def test_a_dead_seed_is_counted_and_its_features_too(scores: pd.DataFrame) -> None:
    found = by_name(scores, dead={"sae.seed4": Dead("mlp_post.0", 10)})["sae"]
    assert (found["n_seeds"], found["n_sampled"], found["unscored"]["dead"]) == (4, 40, 10)
    assert found["by_seed"][3] == {"seed": 4, "dictionary": "sae.seed4", "n_sampled": 0, "n_scored": 0}


def test_ranks_take_seeds_into_account(scores: pd.DataFrame) -> None:
    """With its first seed alone the worse entry is shown to be worse; with three that differ it is not."""
    summary = build_summary("r", build_entries(scores, seed=3))
    (section,) = build_sections([summary])
    assert {str(s.places) for s in section.standings} == {"1-2"}
    spread = {s.label: s.spread for s in section.standings}
    assert spread["sae"] is not None
    assert spread["sae"].freedom == 2
    told = scores.assign(dictionary=scores["dictionary"].replace({"sae.seed2": "coin"}))
    (apart,) = build_sections([build_summary("r", build_entries(told[told["dictionary"] != "sae.seed3"], seed=3))])
    assert {s.label: str(s.places) for s in apart.standings}["coin"] == "3"


def test_the_board_says_how_many_seeds_and_what_they_share(scores: pd.DataFrame) -> None:
    text = render_leaderboard([build_summary("r", build_entries(scores, seed=3))], "md")
    assert "Trained with several seeds: sae (3)." in text
    assert "Variance of one feature's F1 (detection): sae" in text
    assert "With these seeds and features, two entries must differ by" in text


def test_comparing_takes_seeds_into_account(scores: pd.DataFrame) -> None:
    (row,) = compare_within(scores, metric="f1", seed=3, margin=0.3)
    assert (row.first, row.second, row.method, row.n_needed) == ("neurons", "sae", "seeds", None)
    assert row.difference is not None
    assert row.difference.lo < 0 < row.difference.hi
    assert row.p_value is not None
    assert row.p_value > 0.05
    assert row.equivalence is not None
    assert row.equivalence.verdict == "undecided"
    assert "t-tests over seeds" in render_comparisons([row])


def test_explainers_are_paired_within_seeds(scores: pd.DataFrame) -> None:
    twice = pd.concat([scores, scores.assign(explainer="other", f1=scores["f1"] - 0.1)])
    rows = compare_within(twice, metric="f1", seed=3, by="explainer")
    found = {row.second: row for row in rows}["sae/windows"]
    assert found.difference is not None
    assert (found.difference.n_first, found.difference.is_paired) == (30, True)
    assert found.difference.mean == pytest.approx(-0.1)


def test_rows_keep_the_dictionary_they_are_of(scores: pd.DataFrame) -> None:
    assert {row["dictionary"] for row in iter_rows(scores)} == set(MANNERS)
