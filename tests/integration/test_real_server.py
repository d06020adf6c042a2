"""A run against a server that others wrote, `transformers serve`, with a chat model that talks nonsense: plumbing."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from autointerp.board.score_file import read_scores
from autointerp.runs.journal import open_journal
from tests.integration.commands import environment
from tests.integration.conftest import World
from tests.integration.world import save_chat_subject

pytestmark = pytest.mark.full


@pytest.fixture
def model(world: World, tmp_path: Path) -> Path:
    return save_chat_subject(tmp_path / "chat", world.corpus)


@pytest.fixture
def base_url(model: Path, tmp_path: Path) -> Iterator[str]:
    missing = [name for name in ("fastapi", "uvicorn") if find_spec(name) is None]
    program = Path(sys.executable).with_name("transformers")
    if missing or not program.is_file():
        pytest.skip(f"`transformers serve` needs {' and '.join(missing)}: pip install 'transformers[serving]'")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [program, "serve", model, "--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
    log = tmp_path / "serve.txt"
    with log.open("w") as said, subprocess.Popen(words, env=environment(), stdout=said, stderr=said) as server:
        try:
            wait_for(f"http://127.0.0.1:{port}/health", server, log)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            server.terminate()
            server.wait(timeout=30)


def wait_for(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        assert server.poll() is None, log.read_text()[-2000:]
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    pytest.fail(f"the server never came up: {log.read_text()[-2000:]}")


def test_a_run_against_a_real_server_ends_with_every_verdict_counted(
    world: World, model: Path, base_url: str, tmp_path: Path
) -> None:
    run = world.rescored(
        tmp_path / "served",
        f"score.judge='openai:{model}'",
        f"judges.openai.base_url='{base_url}'",
        "judges.openai.key_env=''",
        "judges.openai.token_limit_field='max_tokens'",
        "score.max_tokens=8",
        "limits.max_concurrent=4",
    )
    scores = read_scores(run.scores)
    assert len(scores) == 80
    with open_journal(run.journal, must_exist=True) as journal:
        totals = journal.totals()
    answers = dict(totals.answers)
    assert answers.get("error", 0) == 0
    assert answers["unparsed"] > 0.5 * totals.n_verdicts
    assert totals.output_tokens > 0
    for entry in json.loads(run.summary.read_text())["entries"]:
        assert entry["unparsed_frac"] > 0.5
        assert entry["f1"]["mean"] <= 0.5
