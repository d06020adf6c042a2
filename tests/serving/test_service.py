"""What `serve` answers, without a browser: files of the site alone, and runs as they stand."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from autointerp import safe_text
from autointerp.progress import SilentProgress
from autointerp.run import Run
from autointerp.runs.journal import open_journal
from autointerp.runs.layout import RunLayout
from autointerp.runs.lock import RunLock
from autointerp.runs.log import LoggedProgress
from autointerp.runs.reply_record import FailedAttempt
from autointerp.runs.shards import parse_shard
from autointerp.serving.service import Service
from autointerp.serving.starting import open_service
from autointerp.site.gathering import gather_runs
from tests.runs.test_journal_view import SCORE, ask, reply
from tests.stages.harvested import make_config, make_run

KEY = "0123456789abcdef"
TRIED = {"feature": "sae/3", "prompt": "a", "strength": "2x", "at": "all", "tokens": 1, "temperature": 0.0, "seed": 0}


def opened(runs: Mapping[str, Run], folder: Path) -> Service:
    return open_service(runs, folder, title="Served", progress=SilentProgress())


def told(service: Service, path: str, **asked: Any) -> Any:
    answer = service.post(path, json.dumps(asked).encode()) if asked else service.get(path)
    assert answer is not None
    return json.loads(answer.body)


@pytest.fixture
def begun(tmp_path: Path) -> RunLayout:
    """A run that has been harvested."""
    return make_run(tmp_path / "runs" / "begun", make_config("limits.max_usd=3.0"), n_features=1)


@pytest.fixture
def service(begun: RunLayout, tmp_path: Path) -> Service:
    return opened(gather_runs([begun.root.parent], has_begun=True), tmp_path / "pages")


def test_only_the_files_of_the_site_are_given(world: Path, tmp_path: Path):
    service = opened({"first": Run(world / "runs" / "first")}, tmp_path / "pages")
    (tmp_path / "secret.txt").write_text("secret")
    for path, start in (("/", b"<!doctype html>"), ("/data/catalog.js", b"autointerpData("), ("/board.csv", b"")):
        answer = service.get(path)
        assert answer is not None and answer.body.lstrip().startswith(start)
    for path in ("/../secret.txt", "/data/../../secret.txt", "//etc/passwd", "/..%2fsecret.txt", "/data", "/nothing"):
        assert service.get(path) is None, path


def test_without_a_board_the_runs_come_first(service: Service):
    first, runs = service.get("/"), service.get("/runs.html")
    assert first is not None and first == runs
    page = (service.get("/try.html") or first).body.decode()
    assert "index.html" not in page and "connect-src 'self'" in page


@pytest.mark.parametrize(
    ("path", "asked", "said"),
    [
        ("/api/run", {}, "run: Field required"),
        ("/api/run", {"run": 7}, "run 7: there are 1"),
        ("/api/run", {"run": "0"}, "run: Input should be a valid integer"),
        ("/api/run", {"run": 0, "path": "/etc"}, "path: Extra inputs"),
        ("/api/read", {"run": 0, "text": "x" * 20_001}, "text: String should have at most 20000"),
        ("/api/steer", {"run": 0, **TRIED, "tokens": 10**9}, "tokens: Input should be less than or equal to 500"),
        ("/api/feature", {"run": 0, "feature": "sae"}, "feature 'sae': give DICTIONARY/INDEX"),
    ],
)
def test_what_is_no_question_is_one_line(service: Service, path: str, asked: dict[str, Any], said: str):
    answer = service.post(path, json.dumps(asked).encode())
    assert answer is not None
    (error,) = json.loads(answer.body).values()
    assert error.startswith(said) and "\n" not in error
    for body in (b"", b"[", b"\xff", b"[" * 100_000):
        broken = service.post(path, body)
        assert broken is not None and "error" in json.loads(broken.body)
    assert service.post("/api/nothing", b"{}") is None


def test_a_run_that_works_says_what_it_does(service: Service, begun: RunLayout):
    before = told(service, "/api/run", run=0)
    assert before["stages"][:3] == [["train", True], ["harvest", True], ["explain", False]]
    assert (before["is_at_work"], before["doing"], before["journal"]) == (False, [], None)
    shard = RunLayout(begun.root, shard=parse_shard("1/2"))
    with RunLock(shard.lock), LoggedProgress(SilentProgress(), shard).bar("explain", total=8, unit="features") as bar:
        shard.manifest.write_text("{}")
        bar.update(3, note="1.5/s, $0.20, 4% unparsed", eta_s=90.0)
        (doing,) = told(service, "/api/run", run=0)["doing"]
    assert (doing["label"], doing["total"], doing["unit"]) == ("explain", 8, "features")
    assert told(service, "/api/runs")[0]["is_at_work"] is False
    # of a process that was killed the file stays, and nobody believes it
    begun.progress.write_text(json.dumps({"label": "score", "at": 1.0}))
    assert told(service, "/api/run", run=0)["doing"] == []


def test_the_journal_is_read_while_it_is_written(service: Service, begun: RunLayout):
    now = time.time()
    with open_journal(begun.journal) as journal:
        for number in range(12):
            ask(journal, SCORE, reply(f"{number:02d}", at=now - 5 + number / 10))
        ask(journal, SCORE, reply("old", at=now - 3600))
        journal.record_failure(FailedAttempt("00", 1, "JudgeRetry", "HTTP 500: oops", 0.1, 5.0))
        journal.flush()
        found = told(service, "/api/run", run=0)
    assert found["max_usd"] == 3.0
    figures = found["journal"]
    assert (figures["n_replies"], figures["usd"], figures["n_failed_attempts"]) == (13, 6.5, 1)
    assert figures["replies_per_s"] == pytest.approx(12 / 60)
    assert [each["text"] for each in figures["last"]] == [f"reply {number:02d}" for number in range(11, 3, -1)]
    assert figures["last"][0]["question"] == [["system", "system says"], ["user", "user says"]]
    assert len(told(service, "/api/feature", run=0, feature="sae/12")) == 13
    assert told(service, "/api/feature", run=0, feature="sae/99") == []
    assert told(service, "/api/failures", run=0)[0]["message"] == "HTTP 500: oops"


def test_no_key_is_told(service: Service, begun: RunLayout, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(safe_text, "_keys_in_use", {KEY})
    begun.log.write_text(f"asked with {KEY} and sk-abcdefgh12345678\n")
    with open_journal(begun.journal) as journal:
        ask(journal, SCORE, reply(KEY))
        journal.record_failure(FailedAttempt(KEY, 1, "JudgeRetry", f"bad key {KEY}", 0.1, 5.0))
    found = told(service, "/api/run", run=0)
    told_of_it = [found, *told(service, "/api/feature", run=0, feature="sae/12"), told(service, "/api/failures", run=0)]
    assert found["log"] == ["asked with *** and ***"] and found["journal"]["last"][0]["text"] == "reply ***"
    assert KEY not in json.dumps(told_of_it)


def test_without_torch_a_text_cannot_be_tried_and_the_rest_works(service: Service, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delitem(sys.modules, "autointerp.serving.bench", raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    answers = [until_opened(service, "/api/read", run=0, text="a lantern") for _ in range(2)]
    for answer in answers:
        assert answer["error"].startswith("to try a text needs the package 'torch'; install the tensor half")
    assert told(service, "/api/run", run=0)["is_at_work"] is False


def test_a_run_without_weights_says_so(service: Service):
    assert told(service, "/api/runs")[0]["has_weights"] is False
    assert "error" in until_opened(service, "/api/steer", run=0, **TRIED)


def until_opened(service: Service, path: str, **asked: Any) -> dict[str, Any]:
    while True:
        found = told(service, path, **asked)
        if "opening_s" not in found:
            return found
        time.sleep(0.01)
