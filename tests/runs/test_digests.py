"""The files of a run are tied together: what is not as its stage left it is refused in one line, never counted."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from autointerp import pipeline
from autointerp.cli.main import _run
from autointerp.errors import AutointerpError
from autointerp.records.evidence_file import read_evidence
from autointerp.run import Run
from autointerp.runs.digests import require_journal, unsealed_journal
from autointerp.runs.journal_digests import ASKED, ASKED_FOR, TABLES
from autointerp.runs.layout import RunLayout
from autointerp.runs.manifest import Manifest, load_run_config, read_manifest
from tests.attack.target import make_harvested, make_small
from tests.stages.harvested import make_config


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> RunLayout:
    """A finished run; nobody writes into it."""
    return make_small(tmp_path_factory.mktemp("finished") / "run")


@pytest.fixture
def run(finished: RunLayout, tmp_path: Path) -> RunLayout:
    """A copy of it, to be damaged."""
    return RunLayout(shutil.copytree(finished.root, tmp_path / "run"))


def execute(layout: RunLayout, statement: str) -> None:
    with closing(sqlite3.connect(layout.journal, isolation_level=None)) as connection:
        connection.execute(statement)


def edit_json(path: Path, change: Callable[[dict], object]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")


def flip(path: Path, share: float) -> None:
    content = bytearray(path.read_bytes())
    content[int(share * len(content))] ^= 4
    path.write_bytes(content)


def double_rows(path: Path) -> None:
    table = pq.read_table(path)
    pq.write_table(table.take([0, *range(table.num_rows)]), path)


def another_seed(layout: RunLayout) -> None:
    other = make_harvested(layout.root.parent / "other", make_config("seed=1"))
    shutil.copyfile(other.evidence_file("sae"), layout.evidence_file("sae"))


MUTATIONS: dict[str, tuple[Callable[[RunLayout], object], str]] = {
    "a journal of 0 bytes": (lambda run: run.journal.write_bytes(b""), "is empty, though stages .* recorded in it"),
    "no journal": (lambda run: run.journal.unlink(), "does not exist, though stages .* recorded in it"),
    "half of the verdicts": (
        lambda run: execute(run, "DELETE FROM verdicts WHERE window IN (SELECT window FROM verdicts LIMIT 20)"),
        r"holds other verdicts \(\d+ of 'neurons', not \d+\)",
    ),
    "a verdict turned round": (
        lambda run: execute(
            run, "UPDATE verdicts SET answer = 'error' WHERE window = (SELECT min(window) FROM verdicts)"
        ),
        r"holds other verdicts \(their sha256 differs\).*--from score",
    ),
    "a text exchanged": (
        lambda run: execute(run, "UPDATE explanations SET text = 'flowers' WHERE dictionary = 'sae'"),
        "holds other explanations .*--from explain",
    ),
    "a price changed": (lambda run: execute(run, "UPDATE replies SET usd = 27.0"), "not the replies .*--recover"),
    "a reply changed": (lambda run: execute(run, "UPDATE replies SET text = '[1]'"), "not the replies .*--recover"),
    "a charge gone": (lambda run: execute(run, "DELETE FROM charges WHERE dictionary = 'sae'"), "not the replies"),
    "a question gone": (lambda run: execute(run, "DROP TABLE questions"), "no such table: questions"),
    "a reason more": (
        lambda run: execute(run, "INSERT INTO unscored VALUES ('sae', 2, 'windows', 'detection', 'judge', 'lost')"),
        r"holds other unscored .*--from score",
    ),
    "evidence of another dictionary": (
        lambda run: shutil.copyfile(run.evidence_file("neurons"), run.evidence_file("sae")),
        "sae.parquet is damaged: not what the stage 'harvest' wrote .*--from harvest",
    ),
    "evidence of another seed": (another_seed, "sae.parquet is damaged: not what the stage 'harvest' wrote"),
    "a row of evidence twice": (lambda run: double_rows(run.evidence_file("sae")), "'harvest' wrote"),
    "a bit of evidence": (lambda run: flip(run.evidence_file("sae"), 0.4), "'harvest' wrote"),
    "no evidence": (
        lambda run: run.evidence_file("sae").unlink(),
        "sae.parquet does not exist; `autointerp run .*config.toml --out .*run --from harvest` makes it anew",
    ),
    "a figure of quality": (
        lambda run: edit_json(run.quality("sae"), lambda facts: facts.update(l0=7.0)),
        "quality.json is damaged: not what the stage 'train' wrote",
    ),
    "no quality": (lambda run: run.quality("sae").unlink(), "quality.json does not exist; .*--from train"),
    "another seed in the config": (
        lambda run: run.config.write_text(run.config.read_text().replace("seed = 0", "seed = 1")),
        "config.toml is not the one the run began with .*autointerp run CONFIG",
    ),
    "a fact of the manifest": (
        lambda run: edit_json(run.manifest, lambda content: content["stages"]["score"].update(n_reasked=7)),
        "manifest.json is damaged: not what was written .*delete its key 'sha256'",
    ),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_run_that_is_not_as_its_stages_left_it_is_not_reported(
    name: str, run: RunLayout, capsys: pytest.CaptureFixture[str]
) -> None:
    mutation, said = MUTATIONS[name]
    mutation(run)
    before = run.scores.read_bytes(), run.summary.read_bytes(), run.report.read_bytes()
    assert _run(["report", str(run.root)]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert re.search(said, lines[0]), lines[0]
    assert (run.scores.read_bytes(), run.summary.read_bytes(), run.report.read_bytes()) == before


BOARD: dict[str, tuple[Callable[[RunLayout], object], tuple[str, ...], str]] = {
    "a mean": (
        lambda run: edit_json(run.summary, lambda content: content["entries"][0]["f1"].update(mean=0.99)),
        ("leaderboard",),
        "summary.json is damaged: not what the stage 'report' wrote .*autointerp report",
    ),
    "no summary": (
        lambda run: run.summary.unlink(),
        ("leaderboard",),
        "summary.json does not exist; `autointerp report",
    ),
    "a score": (lambda run: flip(run.scores, 0.3), ("compare",), "scores.parquet is damaged: not what"),
    "scores twice": (lambda run: double_rows(run.scores), ("export", "--to", "parquet"), "scores.parquet is damaged"),
}


@pytest.mark.parametrize("name", BOARD)
def test_a_board_that_is_not_what_the_report_wrote_is_not_shown(
    name: str, run: RunLayout, capsys: pytest.CaptureFixture[str]
) -> None:
    mutation, (command, *words), said = BOARD[name]
    before = run.scores.read_bytes(), run.summary.read_bytes()
    mutation(run)
    assert _run([command, str(run.root), *words]) == 2
    err = capsys.readouterr().err
    assert re.search(said, err), err
    assert _run(["report", str(run.root)]) == 0
    assert (run.scores.read_bytes(), run.summary.read_bytes()) == before


@pytest.mark.parametrize(
    ("mutation", "said"),
    [
        (lambda run: flip(run.report, 0.5), "report.html is damaged: not what"),
        (lambda run: run.report.unlink(), "report.html does not exist; `autointerp report"),
    ],
    ids=["damaged", "missing"],
)
def test_a_page_that_is_not_what_the_report_wrote_is_not_shown(
    mutation: Callable[[RunLayout], object], said: str, run: RunLayout
) -> None:
    mutation(run)
    with pytest.raises(AutointerpError, match=said):
        _ = Run(run.root).page


def test_a_journal_that_changed_is_not_summed_up_and_can_be_looked_into(
    run: RunLayout, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run(["journal", str(run.root), "--json"]) == 0
    execute(run, "DELETE FROM verdicts WHERE dictionary = 'sae'")
    assert _run(["journal", str(run.root), "--json"]) == 2
    assert re.search(r"error: journal .* holds other verdicts \(0 of 'sae', not \d+\)", capsys.readouterr().err)
    assert _run(["journal", str(run.root), "--feature", "sae/2"]) == 0


def test_evidence_that_is_not_the_harvests_is_not_scored_anew(run: RunLayout, tmp_path: Path) -> None:
    flip(run.evidence_file("sae"), 0.5)
    with pytest.raises(AutointerpError, match="not what the stage 'harvest' wrote"):
        pipeline.rescore(run.root, load_run_config(run), out=tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_what_the_message_says_mends_the_run(run: RunLayout) -> None:
    before = run.summary.read_bytes()
    execute(run, "DELETE FROM verdicts")
    with pytest.raises(AutointerpError, match="--from score"):
        Run(run.root).open_journal()
    pipeline.run(load_run_config(run), out=run.root, first="score")
    assert run.summary.read_bytes() == before
    run.journal.unlink()
    with pytest.raises(AutointerpError, match="--from explain"):
        pipeline.run(load_run_config(run), out=run.root, first="score")
    pipeline.run(load_run_config(run), out=run.root, first="explain")
    assert run.summary.read_bytes() == before


def test_replies_that_changed_are_set_aside_and_the_rest_is_kept(run: RunLayout) -> None:
    before = run.summary.read_bytes()
    execute(run, "UPDATE replies SET usd = 27.0 WHERE key IN (SELECT key FROM replies LIMIT 1)")
    with pytest.raises(AutointerpError, match="--recover"):
        pipeline.run(load_run_config(run), out=run.root, first="explain")
    assert _run(["journal", str(run.root), "--recover"]) == 0
    assert run.journal.with_name("journal.damaged.sqlite").is_file()
    pipeline.run(load_run_config(run), out=run.root)
    assert len(json.loads(run.summary.read_text())["entries"]) == len(json.loads(before)["entries"])


def test_a_config_that_was_damaged_is_written_anew_by_the_command_that_began_the_run(run: RunLayout) -> None:
    config, text = load_run_config(run), run.config.read_text()
    run.config.write_text("seed = ")
    pipeline.run(config, out=run.root)
    assert run.config.read_text() == text


def strip(layout: RunLayout) -> None:
    """Make the manifest one of an older release, which knows no digests."""

    def change(content: dict) -> None:
        for key in ("sha256", "config_sha256", "replies"):
            del content[key]
        for line in content["stages"].values():
            line.pop("files", None)
            line.pop("journal", None)

    edit_json(layout.manifest, change)


def test_a_run_of_an_older_release_opens_as_before_but_for_rows_that_are_gone(run: RunLayout) -> None:
    before = run.summary.read_bytes(), run.scores.read_bytes()
    strip(run)
    assert Run(run.root).summary == json.loads(before[0])
    pipeline.run(load_run_config(run), out=run.root, first="report")
    assert (run.summary.read_bytes(), run.scores.read_bytes()) == before
    assert "files" in read_manifest(run)["stages"]["report"]
    execute(run, "DELETE FROM verdicts WHERE window IN (SELECT window FROM verdicts LIMIT 1)")
    with pytest.raises(AutointerpError, match=r"holds fewer verdicts \(\d+ of \d+\)"):
        Run(run.root).open_journal()
    run.journal.write_bytes(b"")
    with pytest.raises(AutointerpError, match="is empty, though stages of this run recorded in it"):
        Run(run.root).open_journal()


def test_replies_may_come_while_questions_are_asked_and_not_after(run: RunLayout) -> None:
    columns = ASKED["replies"]
    given = columns.replace("key,", "'f00',", 1)
    execute(run, f"INSERT INTO replies ({columns}) SELECT {given} FROM replies LIMIT 1")
    with pytest.raises(AutointerpError, match="not the replies"):
        require_journal(run)
    manifest = Manifest(run, read_manifest(run))
    manifest.forget("score")
    require_journal(run)
    manifest.finish("score", {})
    with unsealed_journal(manifest, run):
        require_journal(run)
        execute(run, "DELETE FROM replies WHERE key = 'f00'")
    require_journal(run)


def test_every_column_of_the_journal_counts(run: RunLayout) -> None:
    with closing(sqlite3.connect(run.journal)) as connection:
        for table, columns in {**TABLES, **ASKED, **ASKED_FOR}.items():
            found = {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}
            assert found == set(columns.split(", ")), table


def test_the_lines_of_a_run_know_what_its_files_hold(finished: RunLayout) -> None:
    stages = read_manifest(finished)["stages"]
    assert set(stages["train"]["files"]) == {f"dictionaries/{name}/quality.json" for name in ("neurons", "sae")}
    assert set(stages["harvest"]["files"]) == {f"evidence/{name}.parquet" for name in ("neurons", "sae")}
    assert set(stages["report"]["files"]) == {"scores.parquet", "summary.json", "report.html"}
    with Run(finished.root).open_journal() as journal:
        rows = stages["score"]["journal"]["verdicts"]["rows"]
        assert sum(rows.values()) == len(journal.load_verdicts()) == stages["score"]["n_verdicts"]
        rows = stages["explain"]["journal"]["explanations"]["rows"]
        assert sum(rows.values()) == len(journal.load_explanations()) == stages["explain"]["n_explanations"]


def test_a_manifest_that_was_changed_with_the_program_stays_whole(run: RunLayout) -> None:
    manifest = Manifest(run, read_manifest(run))
    manifest.note("odd", {"a": [1, 2.5, None, "\u00e9"]})
    manifest.forget("report")
    assert read_manifest(run)["odd"] == {"a": [1, 2.5, None, "\u00e9"]}


def test_a_file_of_evidence_alone_is_held_against_its_name(finished: RunLayout) -> None:
    path = finished.evidence_file("sae")
    assert read_evidence(path) == read_evidence(path, dictionary="sae")
    with pytest.raises(AutointerpError, match="about dictionary 'sae', not 'neurons'"):
        read_evidence(path, dictionary="neurons")
