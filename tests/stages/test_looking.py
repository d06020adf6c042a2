"""Scoring in looks, from the config to the board: where it stops, what it says, and that a run that goes on agrees."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from autointerp import pipeline
from autointerp.board.caveats import caveats
from autointerp.board.score_file import read_scores
from autointerp.board.standing import build_sections
from autointerp.board.summary import read_summary
from autointerp.config.tree import Config
from autointerp.errors import ConfigError
from autointerp.progress import SilentProgress
from autointerp.run import Run
from autointerp.runs.layout import RunLayout
from autointerp.runs.manifest import read_manifest
from autointerp.runs.shards import parse_shard
from autointerp.stages import looking
from tests.stages.harvested import make_config, make_run

LOOKS = "score.sequential={looks=4, half_width=0.45}"


def run_whole(root: Path, *overrides: str) -> tuple[Config, RunLayout]:
    config = make_config("score.judge='coin'", "explain.judge='pattern'", "controls.shuffled=0.0", *overrides)
    layout = make_run(root, config)
    pipeline.run(config, out=root, progress=SilentProgress())
    return config, layout


@pytest.fixture(scope="module")
def looked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Config, RunLayout]:
    return run_whole(tmp_path_factory.mktemp("looked"), LOOKS)


def test_it_stops_early_and_the_manifest_says_what_that_saved(looked: tuple[Config, RunLayout]) -> None:
    _, layout = looked
    facts = read_manifest(layout)["stages"]["score"]
    for found in facts["looks"]["coin"].values():
        assert 0 < found["n_asked"] < found["n_features"] == 8
        assert found["n_asked"] + found["n_saved_features"] == 8
        assert found["look"] < 4
        assert found["critical_value"] > 1.96
    assert facts["n_saved_requests"] > 0


def test_the_board_is_of_the_features_asked_about_with_wider_intervals(looked: tuple[Config, RunLayout]) -> None:
    config, layout = looked
    summary = read_summary(layout.summary)
    looks = read_manifest(layout)["stages"]["score"]["looks"]["coin"]
    scores = read_scores(layout.scores)
    asked = looking.asked_features(Run(layout.root, config=config).evidence(), looks, seed=config.seed)
    for entry in summary["entries"]:
        found = looks[entry["dictionary"]]
        assert entry["n_sampled"] == found["n_asked"]
        assert entry["unscored"]["judge"] == 0
        assert entry["looks"]["critical_value"] == found["critical_value"]
        own = scores[(scores["dictionary"] == entry["dictionary"]) & (scores["scorer"] == entry["scorer"])]
        assert set(own["feature"]) == asked[entry["dictionary"]]
        # as wide as the look's critical value makes it, unless the measure itself ends there
        error = own["score"].std(ddof=1) / own["score"].notna().sum() ** 0.5
        reach = entry["score"]["mean"] - entry["score"]["lo"]
        assert reach > 1.96 * error or entry["score"]["lo"] == 0.0
    lines = " ".join(caveats(build_sections([summary])))
    assert "intervals are repeated ones" in lines


def test_what_is_asked_is_answered_as_in_a_run_without_looks(looked: tuple[Config, RunLayout], tmp_path: Path) -> None:
    _, layout = looked
    _, whole = run_whole(tmp_path / "whole")
    keys = ["dictionary", "feature", "explainer", "scorer"]
    some, every = (read_scores(of.scores).set_index(keys) for of in (layout, whole))
    assert len(some) < len(every)
    joined = some[["f1"]].join(every["f1"].rename("f1_whole"))
    assert joined["f1"].equals(joined["f1_whole"].rename("f1"))
    assert json.loads(whole.summary.read_text())["entries"][0]["looks"] is None


def test_scoring_again_stops_at_the_same_place(looked: tuple[Config, RunLayout]) -> None:
    config, layout = looked
    before = read_manifest(layout)["stages"]["score"], layout.scores.read_bytes()
    pipeline.run(config, out=layout.root, first="score", progress=SilentProgress())
    assert (read_manifest(layout)["stages"]["score"], layout.scores.read_bytes()) == before


def test_pairs_that_are_settled_are_told(tmp_path: Path) -> None:
    _, layout = run_whole(tmp_path, "score.sequential={looks=2, half_width=0.9, until='difference'}")
    facts = read_manifest(layout)["stages"]["score"]
    pairs = facts["settled"]["coin"]
    assert {(pair["scorer"], pair["first"], pair["second"]) for pair in pairs} == {
        ("detection", "neurons", "sae"),
        ("marked", "neurons", "sae"),
    }
    assert all(pair["lo"] <= pair["mean"] <= pair["hi"] for pair in pairs)
    assert {found["look"] for found in facts["looks"]["coin"].values()} == {pairs[0]["look"]}


def test_shards_cannot_look(tmp_path: Path) -> None:
    config = make_config("explain.judge='pattern'", LOOKS)
    make_run(tmp_path, config)
    with pytest.raises(ConfigError, match=r"score.sequential looks at all features together"):
        pipeline.run_shard(config, out=tmp_path, shard=parse_shard("1/1"), progress=SilentProgress())
