"""`leaderboard`, `compare` and `export` over a run made on the spot, as a user calls them."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from autointerp import pipeline
from autointerp.board.score_file import read_scores
from autointerp.cli.main import _run
from autointerp.progress import SilentProgress
from autointerp.runs.layout import RunLayout
from tests.stages.harvested import make_config, make_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("runs") / "first"
    config = make_config("score.judge='coin'", "explain.judge='pattern'", "controls.shuffled=0.0")
    make_run(root, config)
    pipeline.run(config, out=root, progress=SilentProgress())
    return root


@pytest.fixture(scope="module")
def other(run: Path) -> Path:
    root = run.parent / "second"
    config = make_config(
        "score.judge='coin'", "explain.judge='pattern'", "controls.shuffled=0.0", "score.temperature=0.5"
    )
    pipeline.rescore(run, config, out=root, progress=SilentProgress())
    return root


def said(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    assert _run([str(word) for word in words]) == 0
    return capsys.readouterr().out


def test_runs_asked_differently_are_shown_apart_and_together_when_asked(
    run: Path, other: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    apart = said(capsys, "leaderboard", run, other, "--format", "md")
    assert apart.count("### scorer detection") == 2
    assert "Not ranked with the section of scorer detection before: scorer.temperature 0" in apart
    together = said(capsys, "leaderboard", run, other, "--format", "md", "--together")
    assert together.count("### ") == 1
    assert "WARNING: ranked together as asked" in together


def test_a_run_given_twice_counts_once_and_a_folder_stands_for_its_runs(
    run: Path, other: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    once = said(capsys, "leaderboard", run, "--format", "csv")
    assert said(capsys, "leaderboard", run, run, "--format", "csv") == once
    both = said(capsys, "leaderboard", run, other, "--format", "csv")
    assert said(capsys, "leaderboard", run.parent, "--format", "csv") == both
    assert {"first", "second"} == {line.partition(",")[0] for line in both.splitlines()[1:] if line}


def test_compare_prints_tests_needs_and_equivalence(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys, "compare", run, "--metric", "f1", "--margin", "0.5")
    assert "p is of permutation tests, corrected by Holm over these 2 rows" in text
    assert "within 0.5: " in text
    rows = json.loads(said(capsys, "compare", run, "--json", "--margin", "0.5"))
    assert {row["scorer"] for row in rows} == {"detection", "marked"}
    for row in rows:
        assert row["p_value"] >= row["p_uncorrected"]
        assert row["equivalence"]["margin"] == 0.5
        assert row["n_needed"] is None or row["n_needed"] > 1


def test_compare_of_runs_says_what_was_not_asked_alike(
    run: Path, other: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = said(capsys, "compare", run, other)
    assert "note: detection of windows was not asked alike: scorer.temperature 0.0, not 0.5" in text
    assert "8 paired" in text or "7 paired" in text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--metric", "f2"], "--metric f2: no such metric"),
        (["--margin", "0"], "--margin 0: must be above 0"),
        (["--by", "judge"], "--by judge: must be dictionary or explainer"),
    ],
)
def test_compare_refuses_what_it_cannot_do(
    run: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert _run(["compare", str(run), *words]) == 2
    assert message in capsys.readouterr().err


def test_pareto_of_a_run_without_measured_dictionaries_says_so(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "leaderboard", run, "--pareto").startswith("Nothing to weigh")


def test_export_to_delphi_reads_back_on_the_board_beside_ours(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said(capsys, "export", run, "--to", "delphi", "--out", tmp_path)
    board = json.loads(said(capsys, "leaderboard", run, "--with", f"delphi:{tmp_path}", "--format", "json"))
    entries = {(e["scorer"], e["dictionary"]): e for e in board["entries"]}
    for scorer in ("marked", "detection"):
        for name in ("sae", "neurons"):
            ours, theirs = entries[scorer, name], entries[f"delphi/{scorer}", name]
            assert theirs["f1"]["mean"] == pytest.approx(ours["f1"]["mean"])
            assert theirs["n_scored"] == ours["n_scored"]


def test_export_to_parquet_holds_every_verdict(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = json.loads(said(capsys, "export", run, "--to", "parquet", "--json"))
    tables = {Path(path).stem: pd.read_parquet(path) for path in paths}
    scores = read_scores(RunLayout(run).scores)
    pd.testing.assert_frame_equal(tables["scores"], scores)
    own = tables["verdicts"][tables["verdicts"]["control"].isna() & (tables["verdicts"]["kind"] != "near_miss")]
    assert len(own) == scores["n_positive"].sum() + scores["n_negative"].sum()
    assert set(tables["explanations"]["dictionary"]) == {"sae", "neurons"}


def test_export_refuses_other_formats_and_folders(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run(["export", str(run), "--to", "excel"]) == 2
    assert "--to excel: no such format; use one of parquet, delphi, neuronpedia, saebench" in capsys.readouterr().err
    assert _run(["export", str(tmp_path), "--to", "delphi"]) == 2
    assert "is no run" in capsys.readouterr().err


def test_compare_takes_entries_by_path_and_names_what_pairs_with_nothing(
    run: Path, other: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (detection, marked) = json.loads(said(capsys, "compare", run / "sae", other / "neurons", "--json"))
    assert (detection["scorer"], marked["scorer"]) == ("detection", "marked")
    for row in (detection, marked):
        assert (row["first"], row["second"]) == (f"{run.name}/sae", f"{other.name}/neurons")
        assert not row["difference"]["is_paired"]
    same = json.loads(said(capsys, "compare", run / "sae", other, "--json"))
    assert {(row["first"], row["second"]) for row in same} == {(f"{run.name}/sae", f"{other.name}/sae")}
    assert all(row["difference"]["is_paired"] for row in same)
    within = json.loads(said(capsys, "compare", run / "sae", run / "neurons", "--json"))
    own = json.loads(said(capsys, "compare", run, "--json"))
    means = {row["scorer"]: row["difference"]["mean"] for row in own}
    assert {row["scorer"]: -row["difference"]["mean"] for row in within} == pytest.approx(means)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["sae"], "is one entry: name another run, or an entry of one"),
        (["topk", ""], "has no entry 'topk'; it has neurons, sae"),
        (["sae/evidence"], "is no run"),
    ],
)
def test_compare_refuses_entries_there_are_not(
    run: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert _run(["compare", *(str(run / word) for word in words)]) == 2
    assert message in capsys.readouterr().err
