"""Submitting to a service that behaves like OpenAI's, well or badly, with sessions that are killed on the way."""

from __future__ import annotations

import signal
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from autointerp.batch import service
from autointerp.batch.service import open_service
from autointerp.batch.state import load_state
from autointerp.batch.submitting import Submitted, submit_round
from autointerp.errors import ArtefactError, ConfigError, JudgeStopped, LimitReached
from autointerp.seeds import unit_hash
from tests.batch.batch_server import BatchServer
from tests.batch.world import Endpoint, World, result_line
from tests.integration.commands import answer, command, environment
from tests.judges.fault_server import content_hash

KEY = "sk-secret-0123456789"
PRICES = {"usd_per_million_input_tokens": 10.0, "usd_per_million_output_tokens": 10.0}


@contextmanager
def served(
    root: Path, *, exported: int | None = 2, options: Any = None, **settings: Any
) -> Iterator[tuple[World, BatchServer]]:
    """A run whose first round, of six requests, is exported in files of `exported`, and the service of its judge."""
    with BatchServer(answer=answer, states=("validating", "in_progress"), **settings) as server:
        world = World.make(root / "run", Endpoint(server.base_url, {"probe": "off", **(options or {})}))
        if exported is not None:
            world.export(n_requests=exported)
        yield world, server


def submit(world: World, **options: Any) -> Submitted:
    return submit_round(world.config, world.layout, poll_s=0.01, **options)


def limited(world: World, **limits: Any) -> World:
    return World(
        world.config.model_copy(update={"limits": world.config.limits.model_copy(update=limits)}), world.layout
    )


def once(server: BatchServer) -> bool:
    """Whether every file was put up once and became one batch."""
    inputs = Counter(batch["input_file_id"] for batch in server.batches.values())
    return set(Counter(server.inputs()).values()) == {1} and set(inputs.values()) == {1}


def steps(world: World) -> list[str]:
    return [file.step for round_ in load_state(world.layout).rounds for file in round_.files]


def test_files_are_worked_through_and_imported(tmp_path: Path) -> None:
    with served(tmp_path) as (world, server):
        done = submit(world)
        assert (done.imported.n_new, done.imported.n_missing, done.is_waiting) == (6, 0, False)
        assert [status for _, status in done.batches.values()] == ["completed"] * 3
        assert (len(server.batches), server.chats) == (3, [])
        assert once(server)
        assert {batch["endpoint"] for batch in server.batches.values()} == {"/v1/chat/completions"}
        assert {batch["completion_window"] for batch in server.batches.values()} == {"24h"}
        assert steps(world) == ["collected"] * 3
        assert world.export().is_complete
        with pytest.raises(ConfigError, match=r"every batch of .* is submitted and imported; run batch export"):
            submit(world)


def test_leaving_at_once_and_coming_back(tmp_path: Path) -> None:
    with served(tmp_path) as (world, server):
        left = submit(world, is_detached=True)
        assert (left.is_waiting, left.imported.n_read) == (True, 0)
        assert [status for _, status in left.batches.values()] == ["validating"] * 3
        # what is under way is not exported again
        meanwhile = world.export()
        assert (meanwhile.n_requests, meanwhile.n_in_flight, meanwhile.is_complete) == (0, 6, False)
        assert submit(world).imported.n_new == 6
        assert once(server)


@pytest.mark.parametrize("call", [pytest.param("POST /v1/files", marks=pytest.mark.full), "POST /v1/batches"])
def test_killed_before_the_answer_came_nothing_is_done_twice(tmp_path: Path, call: str) -> None:
    with served(tmp_path) as (world, server):
        server.hold = call
        process = subprocess.Popen(
            command("batch", "submit", world.layout.root, "--poll-s", "0.05"), env=environment(), stderr=subprocess.PIPE
        )
        assert server.held.wait(60)
        with pytest.raises(ArtefactError, match=r"the batches in .* being written by process"):
            submit(world)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert steps(world) == [
            {"POST /v1/files": "uploading", "POST /v1/batches": "creating"}[call],
            "written",
            "written",
        ]
        server.hold = ""
        assert submit(world).imported.n_new == 6
        assert len(server.batches) == 3
        assert once(server)


@pytest.mark.parametrize("n_looks", [0, 4])
def test_interrupted_while_watching_nothing_is_done_twice(
    tmp_path: Path, n_looks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with served(tmp_path) as (world, server):
        seen = 0

        def trouble(call: str, number: int) -> None:
            nonlocal seen
            seen += call == "GET /v1/batches/ID"

        server.trouble = trouble

        def sleep(delay_s: float) -> None:
            if seen >= n_looks:
                raise KeyboardInterrupt

        monkeypatch.setattr("autointerp.interruption.time.sleep", sleep)
        with pytest.raises(KeyboardInterrupt):
            submit(world)
        monkeypatch.undo()
        assert submit(world).imported.n_read + len(server.batches) > 3
        assert world.export().is_complete
        assert once(server)


def test_a_lost_state_finds_its_batches_by_what_they_hold(tmp_path: Path) -> None:
    with served(tmp_path) as (world, server):
        submit(world, is_detached=True)
        world.layout.batch_state.unlink()
        world.export(n_requests=2)
        assert submit(world).imported.n_new == 6
        assert len(server.batches) == 3
        assert once(server)


def test_what_failed_or_was_never_sent_is_asked_in_a_round_of_its_own(tmp_path: Path) -> None:
    def fails(body: dict[str, Any]) -> tuple[int, Any] | None:
        is_bad = unit_hash("bad", content_hash(body)) < 0.5
        return (500, {"error": {"message": f"oops {KEY}", "code": None}}) if is_bad else None

    def is_unsent(body: dict[str, Any]) -> bool:
        return 0.5 <= unit_hash("bad", content_hash(body)) < 0.7

    with served(tmp_path, fails=fails, is_unsent=is_unsent, end="expired") as (world, server):
        first = submit(world)
        assert first.imported.n_failed > 0
        assert first.imported.n_new + first.imported.n_failed + first.imported.n_unsent == 6
        assert first.imported.n_missing == 6 - first.imported.n_new
        server.fails, server.is_unsent, server.end = lambda body: None, lambda body: False, "completed"
        again = world.export()
        assert again.round_ is not None
        assert (again.round_.name, again.n_requests) == ("explain-2", first.imported.n_missing)
        assert submit(world).imported.n_missing == 0


def test_a_rejected_file_is_told_and_may_be_exported_anew(tmp_path: Path) -> None:
    with served(tmp_path, exported=6, end="failed") as (world, server):
        with pytest.raises(
            JudgeStopped, match=r"batch_\d+ of explain-1/requests-001.jsonl failed \(line 3: this line is"
        ):
            submit(world)
        server.end = "completed"
        assert world.export().round_.name == "explain-2"  # type: ignore[union-attr]
        assert submit(world).imported.n_new == 6
        assert len(server.batches) == 2


def test_ceilings_hold_before_anything_is_begun(tmp_path: Path) -> None:
    with served(tmp_path, options=PRICES) as (world, server):
        with pytest.raises(LimitReached, match=r"limits.max_requests = 1 is below the 2 that requests-001.jsonl"):
            submit(limited(world, max_requests=1))
        with pytest.raises(LimitReached, match=r"limits.max_usd = 0.001 is below the \$0.0\d+ that requests-001.jsonl"):
            submit(limited(world, max_usd=0.001))
        assert not server.files
        # six requests at half of 10 dollars per million come to much less than their bounds: file follows file
        bound = sum(file.bound_usd or 0.0 for file in load_state(world.layout).rounds[0].files)
        done = submit(limited(world, max_usd=bound * 0.6, max_requests=6))
        assert (done.imported.n_new, done.imported.usd) == (6, pytest.approx(6 * 110 * 10 / 1e6 / 2))


def test_what_there_is_no_room_for_waits_for_the_next_session(tmp_path: Path) -> None:
    with served(tmp_path) as (world, server):
        with pytest.raises(LimitReached, match=r"limits.max_requests = 5 is below the 6 that requests-003.jsonl"):
            submit(limited(world, max_requests=5))
        assert len(server.batches) == 2
        assert steps(world) == ["collected", "collected", "written"]
        assert submit(world).imported.n_new == 2
        assert once(server)


def test_a_ceiling_on_money_needs_a_price(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("autointerp.judges.endpoint.endpoint.is_on_this_machine", lambda url: False)
    with served(tmp_path) as (world, server):
        with pytest.raises(LimitReached, match=r"cannot be kept: no price is known; give judges.openai its prices"):
            submit(limited(world, max_usd=1.0))
        assert not server.files


def test_a_wrong_key_stops_with_one_line_without_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATCH_TEST_KEY", KEY)
    with served(tmp_path, options={"key_env": "BATCH_TEST_KEY"}, key="sk-other") as (world, _):
        with pytest.raises(JudgeStopped) as stopped:
            submit(world)
        assert "does not accept the key in environment variable BATCH_TEST_KEY" in str(stopped.value)
        assert "\n" not in str(stopped.value)
        assert KEY not in str(stopped.value)
        assert stopped.value.__cause__ is None


def test_the_key_is_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BATCH_TEST_KEY", KEY)
    fails: Callable[[Any], Any] = lambda body: (400, {"error": {"message": f"key {KEY} is no good here"}})  # noqa: E731
    with served(tmp_path, options={"key_env": "BATCH_TEST_KEY"}, key=KEY, fails=fails) as (world, server):
        server.trouble = lambda call, number: 400 if (call, number) == ("POST /v1/batches", 1) else None
        with pytest.raises(JudgeStopped, match=r"refuses to create a batch \(HTTP 400: .*Bearer \*\*\*"):
            submit(world)
        assert steps(world) == ["submitted", "uploaded", "written"]
        assert KEY not in str(submit(world))
        assert once(server)
        assert KEY not in "".join(capsys.readouterr())
        for path in tmp_path.rglob("*"):
            # what the service says is kept as it came, in its own files
            if path.is_file() and not path.name.startswith("errors-"):
                assert KEY.encode() not in path.read_bytes(), path


def test_a_service_that_stumbles_is_asked_again(tmp_path: Path) -> None:
    with served(tmp_path, exported=6) as (world, server):
        server.trouble = lambda call, number: 409 if call == "GET /v1/batches/ID" and number < 2 else None
        assert submit(world).imported.n_new == 6


def test_a_batch_that_may_have_begun_is_not_begun_again_unseen(tmp_path: Path) -> None:
    with served(tmp_path, exported=6) as (world, server):
        server.missing = {"GET /v1/batches", "GET /v1/files"}
        server.trouble = lambda call, number: 503 if call == "POST /v1/batches" else None
        with pytest.raises(JudgeStopped, match=r"could not create a batch now \(HTTP 503"):
            submit(world)
        assert server.n_calls["POST /v1/batches"] == 1
        server.trouble = lambda call, number: None
        with pytest.raises(JudgeStopped, match="this service lists no batches, so whether the one of round explain-1"):
            submit(world)
        assert not server.batches
        server.missing = set()
        assert submit(world).imported.n_new == 6


def test_results_that_are_gone_are_asked_again(tmp_path: Path) -> None:
    with served(tmp_path, exported=6) as (world, server):
        server.missing = {"GET /v1/files/ID/content"}
        assert submit(world).imported.n_read == 0
        assert world.export().n_requests == 6


def test_a_file_that_was_changed_is_not_put_up(tmp_path: Path) -> None:
    with served(tmp_path) as (world, server):
        path = world.layout.batch / "explain-1" / "requests-001.jsonl"
        path.write_bytes(path.read_bytes().replace(b"lantern", b"lanterns") + b"\n")
        with pytest.raises(ArtefactError, match=r"requests-001.jsonl was changed since it was exported"):
            submit(world)
        path.unlink()
        with pytest.raises(ArtefactError, match=r"requests-001.jsonl cannot be read"):
            submit(world)
        assert not server.batches


def test_what_was_answered_meanwhile_is_not_asked_again(tmp_path: Path) -> None:
    from autointerp.batch.importing import import_results

    with served(tmp_path, exported=6) as (world, server):
        lines = world.lines(world.export())
        (tmp_path / "r.jsonl").write_text(result_line(lines[0], answer(lines[0]["body"])) + "\n")
        import_results(world.config, world.layout, [tmp_path / "r.jsonl"])
        with pytest.raises(ConfigError, match="1 of the 6 requests to be submitted were answered meanwhile; run batch"):
            submit(world)
        assert not server.files
        assert world.export().n_requests == 5
        assert submit(world).imported.n_new == 5


def test_without_an_export_there_is_nothing_to_submit(tmp_path: Path) -> None:
    with served(tmp_path, exported=None) as (world, _), pytest.raises(ConfigError, match="run batch export first"):
        submit(world)


def test_a_service_is_read_up_to_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "_MOST_RESULT_BYTES", 20)
    with served(tmp_path) as (world, _):
        with pytest.raises(JudgeStopped, match=r"sent more than 0 MiB as file file-\d+, which holds 2 results"):
            submit(world)
        assert not list(world.layout.batch.rglob("results-*"))
        monkeypatch.undo()
        assert submit(world).imported.n_new == 6, "the same call goes on once the service mends"
        monkeypatch.setattr(service, "_MOST_BYTES", 100)
        with (
            open_service("openai:m", {"base_url": world.config.judges["openai"]["base_url"]}) as opened,
            pytest.raises(JudgeStopped, match=r"answered nonsense when asked to list batches \(more than 0 MiB"),
        ):
            opened.list_batches()
