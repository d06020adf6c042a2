"""Whole runs against an endpoint that fails: what may pass is tried again, the rest is counted, nothing is lost."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from autointerp.board.score_file import read_scores
from autointerp.runs.journal import open_journal
from autointerp.runs.journal_reader import Totals
from autointerp.runs.layout import RunLayout
from autointerp.seeds import derive, unit_hash
from tests.integration.commands import Called, answer, arguments, call, endpoint, one_line
from tests.integration.conftest import World
from tests.integration.world import FEW, N_FEATURES
from tests.judges.fault_server import Fault, FaultServer, always, completion, content_hash
from tests.judges.journalled import journalled

KEY = "sk-test-51f0c2a97e4d4b0f"
N_EXPLAINED = len(FEW) * N_FEATURES
"""The explanations of the pattern judge, which are requests of a run, too."""
QUOTA = Fault("status", status=429, body={"error": {"code": "insufficient_quota", "message": "You ran out"}})
FAULTS: tuple[Callable[[dict[str, Any]], Fault], ...] = (
    lambda body: Fault("429", headers={"Retry-After": "0.05"}),
    lambda body: Fault("500"),
    lambda body: Fault("hang"),
    lambda body: Fault("truncated"),
    lambda body: Fault("body", raw=json.dumps(completion('{"answers": [1, 0, 1, 1, 0, 1, 0, 0, 1]}'))),
    lambda body: Fault("body", raw=json.dumps(completion('Sure! {"answers": [1, 0'))),
    lambda body: Fault("prose"),
    lambda body: Fault("empty"),
)


def a_third_fails(body: dict[str, Any], n_before: int) -> Fault | None:
    name = content_hash(body)
    if unit_hash("fails", name, n_before) >= 1 / 3:
        return None
    return FAULTS[derive(0, "fault", name, n_before) % len(FAULTS)](body)


def totals(run: RunLayout) -> Totals:
    with open_journal(run.journal, must_exist=True) as journal:
        return journal.totals()


def rescore(
    capsys: pytest.CaptureFixture[str], world: World, out: Path, base_url: str, *overrides: str, **options: Any
) -> Called:
    chosen = arguments(*endpoint(base_url, **options), *overrides)
    return call(capsys, "rescore", world.few.root, "--out", out, "--json", *chosen)


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


def test_a_third_of_the_calls_fail_and_every_feature_is_accounted_for(world: World, tmp_path: Path) -> None:
    with FaultServer(plan=a_third_fails, answer=answer) as server:
        run = world.rescored(
            tmp_path / "faulty",
            *endpoint(server.base_url, timeout_s=0.5),
            "limits.max_concurrent=64",
            "explain.judge='openai:served'",
            source=world.few,
        )
        assert set(server.n_faults) >= {"429", "500", "hang", "truncated", "prose", "empty"}
        n_asked = len(server.arrivals)
    scores = read_scores(run.scores)
    assert len(scores) == 2 * N_EXPLAINED
    for row in scores.to_dict("records"):
        if row["unscored"] is None:
            n = row["n_positive"] + row["n_negative"]
            right = sum(row[k] for k in ("true_positive", "false_positive", "false_negative", "true_negative"))
            lost = sum(row[k] for k in ("unparsed", "refused", "error"))
            assert right + lost == n
            assert lost == row["lost_positive"] + row["lost_negative"]
    found = totals(run)
    assert found.n_failed_attempts > 8
    assert found.n_replies == n_asked, "a request was given up although its turn had not come"
    answers = dict(found.answers)
    assert answers["unparsed"] > 20
    assert answers["fires"] + answers["silent"] > answers["unparsed"]
    summary = json.loads(run.summary.read_text())
    lost = [entry["unparsed_frac"] + entry["error_frac"] for entry in summary["entries"]]
    assert 0.02 < sum(lost) / len(lost) < 0.4


def test_an_endpoint_that_is_down_stops_the_run(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base_url = f"http://127.0.0.1:{free_port()}/v1"
    called = rescore(capsys, world, tmp_path / "down", base_url)
    one_line(called, base_url, "cannot be reached", "check its address", code=3)
    assert totals(RunLayout(tmp_path / "down")).n_explanations == N_EXPLAINED


def test_a_wrong_key_stops_the_run_and_is_written_nowhere(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_JUDGE_KEY", KEY)
    with FaultServer(answer=answer, key="another") as server:
        called = rescore(capsys, world, tmp_path / "run", server.base_url, key_env="TEST_JUDGE_KEY")
    one_line(called, "TEST_JUDGE_KEY", "401", "check that key", code=3)
    assert KEY not in called.out + called.err
    for file in (p for p in tmp_path.rglob("*") if p.is_file()):
        assert KEY.encode() not in file.read_bytes(), file


def test_a_key_that_is_not_set_is_told_before_anything_is_done(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = arguments("score.judge='openai:m'", "judges.openai.key_env='NO_SUCH_KEY'")
    one_line(
        call(capsys, "run", world.config_file, "--out", tmp_path / "run", "--json", *chosen),
        "judges.openai.key_env = 'NO_SUCH_KEY'",
        "export",
    )
    assert not (tmp_path / "run").exists()


def test_no_credits_stop_the_run_and_what_was_paid_for_is_kept(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = RunLayout(tmp_path / "run")
    credit = [60]

    def plan(body: dict[str, Any], n_before: int) -> Fault | None:
        credit[0] -= 1
        return QUOTA if credit[0] < 0 else None

    with FaultServer(plan=plan, answer=answer) as server:
        # what is in flight when the credits end is asked in vain: with sixteen at once, no more than forty
        called = rescore(capsys, world, run.root, server.base_url, "limits.max_concurrent=16")
        one_line(called, "no credits left", "insufficient_quota", code=3)
        kept = journalled(run.journal, model="served")
        assert len(kept) == 60
        assert len(server.bodies) < 60 + 40, "it went on asking"
        credit[0] = 100_000
        before = server.arrivals.copy()
        again = rescore(capsys, world, run.root, server.base_url)
        assert again.code == 0, again.err
        assert all(server.arrivals[name] == before[name] for name in kept)
        assert len(journalled(run.journal, model="served")) == len(server.arrivals)


def test_a_ceiling_on_requests_is_kept_and_can_be_raised(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_JUDGE_KEY", KEY)
    run = RunLayout(tmp_path / "run")
    with FaultServer(answer=answer, key=KEY) as server:
        called = rescore(
            capsys,
            world,
            run.root,
            server.base_url,
            f"limits.max_requests={N_EXPLAINED + 60}",
            key_env="TEST_JUDGE_KEY",
        )
        one_line(called, f"limits.max_requests = {N_EXPLAINED + 60}", "raise it", code=3)
        # the pattern judge's explanations are requests of this run, too
        assert len(server.bodies) == 60
        kept, before = journalled(run.journal, model="served"), server.arrivals.copy()
        assert len(kept) == 60
        again = rescore(capsys, world, run.root, server.base_url, "limits.max_requests=9999", key_env="TEST_JUDGE_KEY")
        assert again.code == 0, again.err
        assert all(server.arrivals[name] == before[name] for name in kept)
        assert max(server.arrivals.values()) == 1
    for file in (p for p in tmp_path.rglob("*") if p.is_file()):  # a key that works is written nowhere either
        assert KEY.encode() not in file.read_bytes(), file


def test_a_shared_cache_answers_another_run(world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with FaultServer(answer=answer) as server:
        chosen = arguments(*endpoint(server.base_url, share_replies=True))
        words = ["rescore", world.few.root, "--json", "--cache", tmp_path / "cache", *chosen]
        first = call(capsys, *words, "--out", tmp_path / "first")
        n_asked = len(server.bodies)
        second = call(capsys, *words, "--out", tmp_path / "second")
        assert first.code == second.code == 0
        assert len(server.bodies) == n_asked
        # unless told so, what answers on this machine may be another model by now
        limited = [
            *arguments(*endpoint(server.base_url)),
            "--max-requests",
            str(N_EXPLAINED + 20),
            "--out",
            tmp_path / "third",
        ]
        assert call(capsys, *words[:5], *limited).code == 3
        assert len(server.bodies) == n_asked + 20
    left, right = (read_scores(RunLayout(tmp_path / name).scores) for name in ("first", "second"))
    assert left.equals(right)


def test_an_endpoint_that_always_fails_stops_the_run(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fault = Fault("status", status=400, body={"error": {"code": "bad", "message": "no such field 'seed'"}})
    with FaultServer(plan=always(fault)) as server:
        called = rescore(capsys, world, tmp_path / "run", server.base_url)
        one_line(called, "400", "no such field 'seed'", code=3)
        assert len(server.bodies) < 60
