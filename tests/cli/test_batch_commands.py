from __future__ import annotations

import json
from pathlib import Path

import pytest

from autointerp.judges.engine.readings import Readings
from tests.batch.batch_server import BatchServer
from tests.batch.world import Endpoint, World, request_lines, result_line
from tests.integration.commands import answer, call, one_line


def results(request_file: Path, text: str | None = None) -> Path:
    """What `vllm run-batch -i FILE -o OUT` would make of a file of requests."""
    out = request_file.with_name("out.jsonl")
    lines = [result_line(line, text or answer(line["body"])) for line in request_lines(request_file)]
    out.write_text("".join(f"{line}\n" for line in lines))
    return out


def test_a_run_goes_from_evidence_to_scores_by_files_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    # every answer is a refusal here: the run goes to its end all the same
    monkeypatch.setattr(Readings, "hopeless", lambda *_: None)
    monkeypatch.setattr(Readings, "useless", lambda *_: None)
    world = World.make(tmp_path / "run")
    run = world.layout.root
    exported = call(capsys, "batch", "export", run)
    assert exported.code == 0, exported.err
    assert exported.out.splitlines()[0] == "round 1 of explaining: 6 requests, 0 answered before"
    path = run / "batch" / "explain-1" / "requests-001.jsonl"
    assert f"{path}: 6 requests, 0.0 MB, at most $0.00" in exported.out
    imported = call(capsys, "batch", "import", run, results(path))
    assert imported.code == 0, imported.err
    rows = dict(line.rsplit(None, 1) for line in imported.out.splitlines()[:9])
    assert {label.strip(): n for label, n in rows.items()} == {
        "lines read": "6",
        "new replies": "6",
        "known before": "0",
        "duplicates": "0",
        "failed": "0",
        "never sent": "0",
        "foreign": "0",
        "malformed": "0",
        "still missing": "0",
    }
    # explaining is finished on the way
    scoring = call(capsys, "batch", "export", run)
    assert "round 1 of scoring:" in scoring.out
    path = run / "batch" / "score-1" / "requests-001.jsonl"
    n = len(request_lines(path))
    call(capsys, "batch", "import", run, results(path, "I would rather not"))
    again = call(capsys, "batch", "export", run)
    assert again.out.splitlines()[0] == f"round 2 of scoring: {n} re-asks, {n} answered before"
    call(capsys, "batch", "import", run, results(run / "batch" / "score-2" / "requests-001.jsonl"))
    assert "nothing is left to ask" in call(capsys, "batch", "export", run).out
    assert "neurons" in call(capsys, "run", run / "config.toml", "--out", run).out
    assert world.totals().n_sent == 6 + 2 * n


def test_giving_up_on_what_nobody_answers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = World.make(tmp_path / "run").layout.root
    call(capsys, "batch", "export", run, "--file-requests", "4")
    call(capsys, "batch", "import", run, results(run / "batch" / "explain-1" / "requests-001.jsonl"))
    given_up = call(capsys, "batch", "export", run, "--give-up")
    assert given_up.code == 0, given_up.err
    assert "explain: finished with 2 requests unanswered" in given_up.err
    assert "round 1 of scoring:" in given_up.out
    assert "2 requests unanswered" in (run / "log.txt").read_text()


def test_an_old_run_is_scored_anew_by_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old, new = World.make(tmp_path / "run").layout.root, tmp_path / "new"
    taken = call(capsys, "rescore", old, "--out", new, "--until", "harvest", "--set", "explain.judge='openai:other'")
    assert (taken.code, taken.out) == (0, ""), taken.err
    assert "round 1 of explaining: 6 requests" in call(capsys, "batch", "export", new).out
    assert request_lines(new / "batch" / "explain-1" / "requests-001.jsonl")[0]["body"]["model"] == "other"


def test_json_for_machines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    world = World.make(tmp_path / "run")
    run = world.layout.root
    exported = json.loads(call(capsys, "batch", "export", run, "--file-requests", "4", "--json").out)
    assert (exported["stage"], exported["round"], exported["n_requests"]) == ("explain", 1, 6)
    assert [file["n_requests"] for file in exported["files"]] == [4, 2]
    paths = [results(Path(file["path"])) for file in exported["files"][:1]]
    imported = json.loads(call(capsys, "batch", "import", run, *paths, "--json").out)
    assert (imported["n_new"], imported["n_missing"], imported["told"]) == (4, 2, [])


def test_submit_watches_and_imports(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with BatchServer(answer=answer, states=("in_progress",)) as server:
        run = World.make(tmp_path / "run", Endpoint(server.base_url)).layout.root
        one_line(call(capsys, "batch", "submit", run), "has no batch files; run batch export first")
        call(capsys, "batch", "export", run)
        left = call(capsys, "batch", "submit", run, "--detach")
        assert left.code == 0, left.err
        assert "explain-1/requests-001.jsonl: batch batch_2 validating" in left.out
        under_way = call(capsys, "batch", "export", run)
        assert "6 requests of explaining are under way" in under_way.out
        done = call(capsys, "batch", "submit", run, "--poll-s", "0.01")
        assert "explain-1/requests-001.jsonl: batch batch_2 completed" in done.out
        assert "new replies            6" in done.out
        call(capsys, "batch", "export", run)
        one_line(
            call(capsys, "batch", "submit", run, "--max-requests", "9"), "limits.max_requests = 9 is below the", code=3
        )
        assert len(server.batches) == 1


def test_what_is_no_run_is_told_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (("export",), ("submit",), ("import", tmp_path / "file")):
        one_line(call(capsys, "batch", words[0], tmp_path / "none", *words[1:]), "is no run")
    run = World.make(tmp_path / "run").layout.root
    one_line(call(capsys, "batch", "export", run, "--file-requests", "0"), "--file-requests 0: give a number from 1")
    one_line(
        call(capsys, "batch", "import", run, tmp_path / "file"),
        "has exported nothing that results could be of; run batch export first",
    )
