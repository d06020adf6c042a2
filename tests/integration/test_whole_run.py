"""One config from corpus to page through the command line, and that it is the same every time."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from autointerp.runs.layout import RunLayout
from autointerp.runs.manifest import read_manifest
from tests.integration.commands import Called, arguments, call, run_elsewhere
from tests.integration.conftest import World
from tests.integration.world import DICTIONARIES, LITTLE_TEXT

ENTRY_KEYS = {
    *("name", "dictionary", "site", "explainer", "scorer", "judge", "n_sampled", "n_scored", "unscored"),
    *("f1", "f1_lenient", "balanced_accuracy", "excess", "beyond_token", "near_miss", "baselines"),
    *("unparsed_frac", "refused_frac", "error_frac", "usd", "prompt_hash"),
}


@pytest.fixture(scope="module")
def elsewhere(world: World, tmp_path_factory: pytest.TempPathFactory) -> tuple[Called, RunLayout]:
    """The whole config once in a process of its own, from nothing."""
    out = tmp_path_factory.mktemp("elsewhere") / "run"
    cache = tmp_path_factory.mktemp("cache")
    return run_elsewhere("run", world.config_file, "--out", out, XDG_CACHE_HOME=str(cache)), RunLayout(out)


def stamps(layout: RunLayout) -> dict[Path, int]:
    """When each file of a run was written; a log may always grow."""
    return {p: p.stat().st_mtime_ns for p in layout.root.rglob("*") if p.is_file() and p != layout.log}


def test_one_command_leaves_every_artefact(elsewhere: tuple[Called, RunLayout]) -> None:
    called, run = elsewhere
    assert called.code == 0, called.err
    assert "Traceback" not in called.err
    for file in (run.config, run.manifest, run.journal, run.scores, run.summary, run.report, run.log):
        assert file.stat().st_size > 0, file
    for name in DICTIONARIES:
        assert name in called.out
        assert run.evidence_file(name).is_file()
        assert run.quality(name).is_file()
        assert list(run.dictionary(name).glob("*.safetensors"))
    assert set(read_manifest(run)["stages"]) == {"train", "harvest", "explain", "score", "report"}
    assert str(run.report) in called.out
    assert "How often features fire" in run.report.read_text(encoding="utf-8")
    assert not [p for p in run.root.rglob("*") if p.name.endswith((".tmp", ".partial"))]


def test_the_summary_is_what_others_read(elsewhere: tuple[Called, RunLayout]) -> None:
    _, run = elsewhere
    summary = json.loads(run.summary.read_text())
    assert summary["schema_version"] == 1
    assert summary["run"] == "tiny"
    assert [(e["scorer"], e["name"]) for e in summary["entries"]] == [
        (scorer, name) for scorer in ("detection", "marked") for name in DICTIONARIES
    ]
    for entry in summary["entries"]:
        assert entry.keys() >= ENTRY_KEYS
        assert entry["n_sampled"] == 8 == entry["n_scored"] + sum(entry["unscored"].values())
        assert entry["unscored"].keys() == {"too_few_positives", "too_few_negatives", "judge"}
        for metric in ("f1", "f1_lenient", "balanced_accuracy", "excess", "beyond_token"):
            interval = entry[metric]
            assert interval["lo"] <= interval["mean"] <= interval["hi"], (entry["name"], metric)
            assert 0 < interval["n"] <= entry["n_scored"]
        assert entry["f1"]["n"] == entry["n_scored"]
        assert entry["baselines"]["always_yes_f1"] == pytest.approx(2 / 3, abs=0.05)
        assert entry["unparsed_frac"] == entry["refused_frac"] == entry["error_frac"] == entry["usd"] == 0


def test_the_same_config_gives_the_same_bytes(elsewhere: tuple[Called, RunLayout], finished: RunLayout) -> None:
    _, run = elsewhere
    for name in DICTIONARIES:
        assert run.evidence_file(name).read_bytes() == finished.evidence_file(name).read_bytes(), name
    assert run.scores.read_bytes() == finished.scores.read_bytes()
    assert run.summary.read_bytes() == finished.summary.read_bytes()


def test_concurrency_changes_no_score(world: World, tmp_path: Path) -> None:
    runs = [world.rescored(tmp_path / f"at{n}", f"limits.max_concurrent={n}", source=world.few) for n in (1, 16)]
    assert runs[0].scores.read_bytes() == runs[1].scores.read_bytes()


def test_a_second_call_does_nothing_again(
    world: World, finished_copy: RunLayout, capsys: pytest.CaptureFixture[str]
) -> None:
    before = stamps(finished_copy)
    called = call(capsys, "run", world.config_file, "--out", finished_copy.root)
    assert called.code == 0
    assert called.err.splitlines() == [
        f"{stage}: done before" for stage in ("train", "harvest", "explain", "score", "report")
    ]
    assert stamps(finished_copy) == before


def test_from_a_stage_does_it_and_all_after_it_again(
    world: World, finished_copy: RunLayout, capsys: pytest.CaptureFixture[str]
) -> None:
    before = stamps(finished_copy)
    scores = finished_copy.scores.read_bytes()
    called = call(capsys, "run", world.config_file, "--out", finished_copy.root, "--from", "score")
    assert called.code == 0
    assert "explain: done before" in called.err
    assert "score: 0 requests sent, 4" in called.err  # some four hundred answers, all from the journal
    changed = {p for p, at in stamps(finished_copy).items() if before.get(p) != at}
    assert changed >= {finished_copy.manifest, finished_copy.scores, finished_copy.summary, finished_copy.report}
    assert not any(finished_copy.evidence in p.parents or finished_copy.dictionaries in p.parents for p in changed)
    assert finished_copy.scores.read_bytes() == scores


def test_from_train_trains_again(world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = RunLayout(tmp_path / "run")
    words = ["run", world.few.config, "--out", run.root, *arguments(*LITTLE_TEXT), "--until"]
    assert call(capsys, *words, "harvest").code == 0
    weights = next(run.dictionary("sae").glob("sae_weights*"))
    before, content = weights.stat().st_mtime_ns, weights.read_bytes()
    assert call(capsys, *words, "train", "--from", "train").code == 0
    assert weights.stat().st_mtime_ns > before
    assert weights.read_bytes() == content
    assert set(read_manifest(run)["stages"]) == {"train"}


def test_fresh_starts_anew(world: World, finished_copy: RunLayout, capsys: pytest.CaptureFixture[str]) -> None:
    changed = arguments("seed=1", *LITTLE_TEXT)
    refused = call(capsys, "train", world.config_file, "--out", finished_copy.root, *changed)
    assert refused.code == 2
    assert "seed: 0 -> 1" in refused.err
    called = call(capsys, "train", world.config_file, "--out", finished_copy.root, *changed, "--fresh")
    assert called.code == 0
    assert not finished_copy.journal.exists()
    assert not finished_copy.evidence.exists()
    assert read_manifest(finished_copy)["seed"] == 1


def test_fresh_deletes_nothing_that_is_no_run(world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    called = call(capsys, "run", world.config_file, "--out", tmp_path, "--fresh")
    assert called.code == 2
    assert (tmp_path / "letter.txt").read_text() == "dear"


@pytest.mark.parametrize("format", ["table", "md", "csv", "json", "html"])
def test_the_leaderboard_has_every_form(finished: RunLayout, format: str, capsys: pytest.CaptureFixture[str]) -> None:
    called = call(capsys, "leaderboard", finished.root, "--format", format)
    assert (called.code, called.err) == (0, "")
    for name in DICTIONARIES:
        assert name in called.out
    if format == "csv":
        rows = list(csv.DictReader(io.StringIO(called.out)))
        assert len(rows) == 2 * len(DICTIONARIES)
        assert all(0.6 < float(row["always_yes_f1"]) < 0.7 for row in rows)
        assert all(float(row["f1_lo"]) <= float(row["f1"]) <= float(row["f1_hi"]) for row in rows)
    if format == "json":
        json.loads(called.out)
    if format in ("table", "md"):
        assert "always" in called.out
        assert "0.667" in called.out or ".67" in called.out


def test_runs_are_compared(
    world: World, finished: RunLayout, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    within = call(capsys, "compare", finished.root, "--json")
    assert within.code == 0
    assert json.loads(within.out)
    oracle = world.rescored(tmp_path / "oracle", "score.judge='oracle'", source=world.few)
    between = call(capsys, "compare", finished.root, oracle.root, "--json")
    assert between.code == 0
    assert json.loads(between.out)
    assert call(capsys, "compare", finished.root, oracle.root).out.strip()


def test_the_journal_tells_what_was_asked(finished: RunLayout, capsys: pytest.CaptureFixture[str]) -> None:
    shown = call(capsys, "journal", finished.root)
    assert shown.code == 0
    told = json.loads(call(capsys, "journal", finished.root, "--json").out)
    assert told["n_explanations"] == 40
    assert told["n_replies"] == told["n_sent"] > 300
    assert told["n_verdicts"] == sum(told["answers"].values())
    assert told["usd"] == 0


def test_the_report_is_built_anew_from_the_run(finished_copy: RunLayout, capsys: pytest.CaptureFixture[str]) -> None:
    kept = {file: file.read_bytes() for file in (finished_copy.scores, finished_copy.summary, finished_copy.report)}
    for file in kept:
        file.unlink()
    called = call(capsys, "report", finished_copy.root)
    assert called.code == 0
    assert called.out.strip() == str(finished_copy.report)
    assert {file: file.read_bytes() for file in kept} == kept


def test_json_prints_the_summary_alone(
    world: World, finished: RunLayout, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    called = call(capsys, "rescore", finished.root, "--out", tmp_path / "again", "--json")
    assert (called.code, called.err) == (0, "")
    assert json.loads(called.out)["run"] == "again"
    assert json.loads(called.out)["entries"] == json.loads(finished.summary.read_text())["entries"]
