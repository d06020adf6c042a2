"""Judges whose quality is known get the scores they deserve through the whole pipeline, in both tasks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from autointerp.board.score_file import read_scores
from autointerp.runs.layout import RunLayout
from autointerp.runs.manifest import read_manifest
from tests.integration.commands import call, one_line
from tests.integration.conftest import World

SCORERS = ("detection", "marked")
NAMED = "explain.judge='oracle'"
"""Explanations that name the feature: two that fire in the same windows are told apart by nothing else."""


def entries(run: RunLayout) -> list[dict[str, Any]]:
    return json.loads(run.summary.read_text())["entries"]


def scored(run: RunLayout, scorer: str) -> pd.DataFrame:
    table = read_scores(run.scores)
    table = table[(table.scorer == scorer) & table.unscored.isna()]
    assert len(table) >= 35
    return table


def test_the_oracle_scores_one(world: World, tmp_path: Path) -> None:
    run = world.rescored(tmp_path / "oracle", "score.judge='oracle'", NAMED)
    for entry in entries(run):
        assert entry["f1"] == {"mean": 1.0, "lo": 1.0, "hi": 1.0, "n": entry["n_scored"]}, entry["name"]
        assert entry["balanced_accuracy"]["mean"] == 1.0
        assert entry["near_miss"] is None or entry["near_miss"]["mean"] == 1.0


@pytest.mark.parametrize("n_coins", [1, *(pytest.param(n, marks=pytest.mark.full) for n in (3, 8))])
def test_the_coin_gets_what_is_expected_of_it(world: World, tmp_path: Path, n_coins: int) -> None:
    coins = [  # the first seeds from 0 on, none left out
        world.rescored(tmp_path / f"coin{seed}", "score.judge='coin'", f"judges.coin.seed={seed}")
        for seed in range(n_coins)
    ]
    for scorer in SCORERS:
        tables = [scored(coin, scorer) for coin in coins]
        # the features are the clusters: each counts once, with the mean of its coins
        f1 = np.mean([table.f1.to_numpy() for table in tables], axis=0)
        error = np.std(f1, ddof=1) / np.sqrt(len(f1))
        assert error < 0.03
        assert f1.mean() == pytest.approx(tables[0].coin_f1.mean(), abs=1.96 * error), scorer
    close = [e["f1"]["lo"] <= e["baselines"]["coin_f1"] <= e["f1"]["hi"] for coin in coins for e in entries(coin)]
    assert np.mean(close) >= 0.85, "a 95% interval that misses so often is none"


def test_the_liar_is_always_wrong(world: World, tmp_path: Path) -> None:
    run = world.rescored(tmp_path / "liar", "score.judge='liar'", NAMED)
    for scorer in SCORERS:
        lied = scored(run, scorer)
        assert lied.f1.max() == 0.0
        assert lied.balanced_accuracy.max() == 0.0


@pytest.mark.parametrize("role", ["explain", "score"])
def test_the_mumbler_ends_the_run_with_the_reason(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str], role: str
) -> None:
    out = tmp_path / "mumbler"
    called = call(capsys, "rescore", world.few.root, "--out", out, "--json", "--set", f"{role}.judge=mumbler")
    one_line(called, "replies of mumbler", "cannot be read", "of another form", "what is done is kept", code=3)
    assert role not in read_manifest(RunLayout(out))["stages"]


@pytest.mark.usefixtures("insisting")
def test_the_mumbler_is_unparsed_and_never_better_for_it(world: World, tmp_path: Path) -> None:
    run = world.rescored(tmp_path / "mumbler", "score.judge='mumbler'", source=world.few)
    for entry in entries(run):
        assert entry["unparsed_frac"] == 1.0
        assert entry["f1"]["mean"] == 0.0
        assert entry["f1"]["n"] == entry["n_scored"] > 0
        assert entry["f1_lenient"] is None


@pytest.mark.usefixtures("insisting")
def test_a_mumbled_explanation_is_never_scored(world: World, tmp_path: Path) -> None:
    run = world.rescored(tmp_path / "mumbled", "explain.judge='mumbler'", source=world.few)
    for entry in entries(run):
        assert (entry["n_scored"], entry["unscored"]["judge"]) == (0, 8)
        assert entry["f1"] is None
    assert set(read_scores(run.scores).explain_failure) == {"unparsed"}


def test_a_noisy_judge_is_as_good_as_told(world: World, tmp_path: Path) -> None:
    quality = {"sensitivity": 0.9, "specificity": 0.7}
    run = world.rescored(
        tmp_path / "noisy", "score.judge='noisy'", *(f"judges.noisy.{key}={value}" for key, value in quality.items())
    )
    for scorer in SCORERS:
        table = scored(run, scorer)
        for right, lost, total, share in (
            ("true_positive", "false_negative", "n_positive", quality["sensitivity"]),
            ("true_negative", "false_positive", "n_negative", quality["specificity"]),
        ):
            n = int(table[total].sum())
            assert n == int(table[right].sum() + table[lost].sum())
            error = np.sqrt(share * (1 - share) / n)
            assert table[right].sum() / n == pytest.approx(share, abs=4 * error), (scorer, right)
        expected = (quality["sensitivity"] + quality["specificity"]) / 2
        assert table.balanced_accuracy.mean() == pytest.approx(expected, abs=0.06)


def test_no_document_serves_both_ends(finished: RunLayout) -> None:
    for file in finished.evidence.glob("*.parquet"):
        for windows in pd.read_parquet(file).windows:
            explain, score = ({w["document"] for w in windows if w["role"] == r} for r in ("explain", "score"))
            assert explain
            assert score
            assert not explain & score
