"""Every message about a run that lacks something names a command that gets on from there: no hint leads in a circle."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest

from autointerp import pipeline
from autointerp.cli.main import _run
from autointerp.errors import ConfigError
from autointerp.runs.layout import RunLayout
from autointerp.runs.manifest import Manifest, load_run_config, read_manifest
from tests.attack.target import make_small


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> RunLayout:
    """A finished run; nobody writes into it."""
    return make_small(tmp_path_factory.mktemp("finished") / "a run")


@pytest.fixture
def run(finished: RunLayout, tmp_path: Path) -> RunLayout:
    """A copy of it, in a folder whose name has a space."""
    return RunLayout(shutil.copytree(finished.root, tmp_path / "a run"))


def hint(capsys: pytest.CaptureFixture[str], *words: str | Path) -> list[str]:
    """The command in the one line that a failing one says."""
    capsys.readouterr()
    assert _run([str(word) for word in words]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    found = re.search(r"`autointerp (.+?)`", lines[0])
    assert found, lines[0]
    return shlex.split(found[1])


def test_a_deleted_summary_is_reported_anew(run: RunLayout, capsys: pytest.CaptureFixture[str]) -> None:
    run.summary.unlink()
    command = hint(capsys, "leaderboard", run.root)
    assert command == ["report", str(run.root)]
    assert _run(command) == 0
    assert _run(["leaderboard", str(run.root)]) == 0


def test_deleted_verdicts_are_scored_anew(run: RunLayout, capsys: pytest.CaptureFixture[str]) -> None:
    run.journal.unlink()
    command = hint(capsys, "report", run.root)
    assert command == ["run", str(run.config), "--out", str(run.root), "--from", "explain"]
    assert _run(command) == 0
    assert _run(["report", str(run.root)]) == 0


def test_deleted_evidence_is_harvested_anew(run: RunLayout, capsys: pytest.CaptureFixture[str]) -> None:
    run.evidence_file("sae").unlink()
    harvest_again = ["run", str(run.config), "--out", str(run.root), "--from", "harvest"]
    assert hint(capsys, "report", run.root) == harvest_again
    assert hint(capsys, "rescore", run.root, "--out", run.root.parent / "other") == harvest_again


def test_evidence_that_was_taken_from_a_run_is_taken_again(
    run: RunLayout, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = pipeline.rescore(run.root, load_run_config(run), out=tmp_path / "other", last="explain")
    other.evidence_file("sae").unlink()
    assert _run(["run", str(other.config), "--out", str(other.root)]) == 2
    assert "copy it again from the run 'a run'" in capsys.readouterr().err


def test_an_unfinished_run_is_gone_on_with(run: RunLayout, capsys: pytest.CaptureFixture[str]) -> None:
    Manifest(run, read_manifest(run)).forget("score", "report")
    command = hint(capsys, "report", run.root)
    assert command == ["run", str(run.config), "--out", str(run.root)]
    assert _run(command) == 0


def test_a_run_that_is_not_there_is_said_not_to_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for place, why in ((tmp_path / "nowhere", "it does not exist"), (tmp_path, "it has no config.toml")):
        assert _run(["report", str(place)]) == 2
        assert f"error: {place} is no run: {why}; name a folder given to --out" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_another_judge_is_asked_about_the_same_evidence(
    run: RunLayout, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = ("--set", "score.judge=pattern", "--set", "explain.judge=pattern")
    command = hint(capsys, "run", run.config, "--out", run.root, *changed)
    assert command == [
        *("rescore", str(run.root), "--out", "OTHER"),
        *("--set", "explain.judge=pattern", "--set", "score.judge=pattern"),
    ]
    command[command.index("OTHER")] = str(tmp_path / "other")
    assert _run(command) == 0
    with pytest.raises(ConfigError, match="Choose another --out, restore the values, or use --fresh"):
        pipeline.run(load_run_config(run, ["seed=3"]), out=run.root)


def test_beginning_anew_from_a_later_stage_deletes_nothing(run: RunLayout) -> None:
    with pytest.raises(ConfigError, match="--fresh deletes what --from explain begins with"):
        pipeline.run(load_run_config(run), out=run.root, first="explain", fresh=True)
    assert "report" in read_manifest(run)["stages"]


def test_a_run_without_its_manifest_is_not_begun_anew_by_reporting_it(
    run: RunLayout, capsys: pytest.CaptureFixture[str]
) -> None:
    run.manifest.unlink()
    assert _run(["report", str(run.root)]) == 2
    assert "is no run: it has no manifest.json" in capsys.readouterr().err
    assert not run.manifest.exists()
