"""Whole runs against an endpoint that is probed first: what is found decides what is asked, and is not asked again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from autointerp.board.score_file import read_scores
from autointerp.runs.journal import open_journal
from autointerp.runs.layout import RunLayout
from tests.integration.commands import Called, arguments, call, endpoint, one_line
from tests.integration.conftest import World
from tests.integration.world import FEW, N_FEATURES
from tests.judges.fault_server import FaultServer
from tests.judges.personalities import KINDS_OF_SERVER, Kind

pytestmark = pytest.mark.usefixtures("insisting")  # what these servers say is no answer

KEY = "sk-test-a4d92c5e713b4f68"
N_EXPLAINED = len(FEW) * N_FEATURES
"""The explanations of the pattern judge, which are requests of a run, too."""


def rescore(capsys: pytest.CaptureFixture[str], world: World, out: Path, server: FaultServer, *more: str) -> Called:
    chosen = arguments(*endpoint(server.base_url, probe="auto"), *more)
    return call(capsys, "rescore", world.few.root, "--out", out, "--json", "--cache", out.parent / "cache", *chosen)


def is_probe(body: dict[str, object]) -> bool:
    return "number of windows" not in json.dumps(body).lower()


def test_a_run_finds_out_once_and_asks_accordingly(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = RunLayout(tmp_path / "run")
    with FaultServer(personality=KINDS_OF_SERVER["breaks on a schema"]) as server:
        sharing = "judges.openai.share_replies=true"
        called = rescore(capsys, world, run.root, server, sharing)
        assert called.code == 0, called.err
        probes = [body for body in server.bodies if is_probe(body)]
        assert 3 <= len(probes) <= 6
        assert all(is_probe(body) for body in server.bodies[: len(probes)]), "asked before it knew how"
        scoring = server.bodies[len(probes) :]
        assert {body["response_format"]["type"] for body in scoring} == {"json_object"}
        assert "json_schema refused, json_object honoured" in run.log.read_text()
        n_asked = len(server.bodies)
        again = rescore(capsys, world, tmp_path / "again", server, sharing)
        assert again.code == 0, again.err
        assert len(server.bodies) == n_asked, "the finding or the replies were not remembered"
    with open_journal(run.journal, must_exist=True) as journal:
        assert journal.totals().n_replies == len(scoring) + N_EXPLAINED
    left, right = (read_scores(RunLayout(tmp_path / name).scores) for name in ("run", "again"))
    assert left.equals(right)


def test_a_stopped_run_goes_on_with_what_it_found_though_the_server_has_changed(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = RunLayout(tmp_path / "run")
    kinds = [Kind(), KINDS_OF_SERVER["ignores all but the limit"]]
    with FaultServer(personality=lambda path, body: kinds[0](path, body)) as server:
        stopped = rescore(capsys, world, run.root, server, f"limits.max_requests={N_EXPLAINED + 20}")
        one_line(stopped, f"limits.max_requests = {N_EXPLAINED + 20}", code=3)
        assert len(server.bodies) == 20, "probes and questions count alike"
        kinds.pop(0)
        for file in (tmp_path / "cache" / "probes").iterdir():
            file.unlink()
        n_before = len(server.bodies)
        assert rescore(capsys, world, run.root, server, "limits.max_requests=9999").code == 0
        later = server.bodies[n_before:]
        assert not any(is_probe(body) for body in later)
        assert {body["response_format"]["type"] for body in later} == {"json_schema"}


@pytest.mark.parametrize("status", [200, 401, 500])
def test_a_key_from_a_file_is_sent_and_written_nowhere(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str], status: int
) -> None:
    """Nothing that a run writes or says holds the key, whether it works, is refused, or is repeated in an error."""
    file = tmp_path / "secret" / "key"
    file.parent.mkdir()
    file.write_text(f"{KEY}\n")
    file.chmod(0o600)
    kind = Kind()

    def personality(path: str, body: dict[str, object]) -> object:
        said = kind(path, body)
        wrong = {"error": {"message": f"bad header: Bearer {KEY}"}}
        return said if status == 200 else type(said)(wrong, status=status)

    with FaultServer(personality=personality) as server:  # type: ignore[arg-type]
        called = rescore(
            capsys,
            world,
            tmp_path / "run",
            server,
            f"judges.openai.key_file='{file}'",
            "limits.max_attempts=1",
            f"limits.max_requests={N_EXPLAINED + 40}",
        )
        assert called.code == 3
        assert all(headers["Authorization"] == f"Bearer {KEY}" for _, headers in server.seen)
    assert KEY not in called.out + called.err
    written = [path for path in tmp_path.rglob("*") if path.is_file() and path != file]
    assert len(written) > 5
    for path in written:
        assert KEY.encode() not in path.read_bytes(), path
