"""What every test of faults starts from: a small run to be rescored, and how it ends when nothing goes wrong."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from autointerp.cli.main import _run
from autointerp.runs.layout import RunLayout
from tests.chaos.client import words
from tests.chaos.run_source import save_source
from tests.chaos.server import ChaosServer
from tests.sharing import made_once


@dataclass(frozen=True, slots=True)
class Calm:
    """A run that met no fault, the run whose evidence it scored, and how many requests it took."""

    source: Path
    run: RunLayout
    n_requests: int


@pytest.fixture(scope="session")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Calm:
    def make(root: Path) -> None:
        source = save_source(root / "source", n_features=1)
        with ChaosServer(root / "calm.log") as server:
            assert _run(words(source, root / "run", server.base_url, cache=root / "cache")) == 0
            assert set(server.arrivals.values()) == {1}
            (root / "n_requests").write_text(str(server.n_arrivals))

    root = made_once(tmp_path_factory, "calm", make)
    return Calm(root / "source", RunLayout(root / "run"), int((root / "n_requests").read_text()))


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or fills the user's cache of replies."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user-cache"))
