"""The world every test of whole runs shares: trained and harvested once a test run, then copied or scored anew."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from autointerp import pipeline
from autointerp.config.loading import load_config
from autointerp.config.tree import Config
from autointerp.judges.engine.readings import Readings
from autointerp.runs.layout import RunLayout
from tests.integration.world import FEW, config_text, save_corpus, save_subject
from tests.sharing import made_once


@dataclass(frozen=True, slots=True)
class World:
    """Where the world lies. `run` is harvested and no more, and `few` has the evidence of two of its dictionaries, for
    tests of how is asked rather than of what is found; nobody writes into either."""

    root: Path
    corpus: Path
    model: Path
    config_file: Path
    run: RunLayout
    few: RunLayout

    def config(self, *overrides: str) -> Config:
        return load_config(self.config_file, overrides)

    def rescored(self, out: Path, *overrides: str, source: RunLayout | None = None) -> RunLayout:
        """The evidence of the world's run, or of `few`, explained and scored under other settings."""
        source = source or self.run
        config = load_config(source.config, [f"name='{out.name}'", *overrides])
        return pipeline.rescore(source.root, config, out=out)


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    def make(root: Path) -> None:
        corpus = save_corpus(root / "corpus.jsonl")
        model = save_subject(root / "model", corpus)
        config_file = root / "tiny.toml"
        config_file.write_text(config_text(model=model, corpus=corpus))
        run = pipeline.run(load_config(config_file), out=root / "run", last="harvest")
        few = config_text(model=model, corpus=corpus, dictionaries=FEW)
        (root / "few.toml").write_text(few)
        pipeline.rescore(run.root, load_config(root / "few.toml"), out=root / "few", last="harvest")

    root = made_once(tmp_path_factory, "world", make)
    run, few = (RunLayout(root / name) for name in ("run", "few"))
    return World(root, root / "corpus.jsonl", root / "model", root / "tiny.toml", run, few)


@pytest.fixture(scope="session")
def finished(world: World, tmp_path_factory: pytest.TempPathFactory) -> RunLayout:
    """A copy of the world's run brought to its end with the pattern judge; nobody writes into it."""

    def make(root: Path) -> None:
        pipeline.run(world.config(), out=Path(shutil.copytree(world.run.root, root / "run")))

    return RunLayout(made_once(tmp_path_factory, "finished", make) / "run")


@pytest.fixture
def finished_copy(finished: RunLayout, tmp_path: Path) -> RunLayout:
    """A copy of the finished run, to be damaged or gone on with."""
    return RunLayout(shutil.copytree(finished.root, tmp_path / "run"))


@pytest.fixture
def insisting(monkeypatch: pytest.MonkeyPatch) -> None:
    """A judge that nobody can read is asked to the end, to see what a board would say of it."""
    monkeypatch.setattr(Readings, "hopeless", lambda *_: None)
    monkeypatch.setattr(Readings, "useless", lambda *_: None)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test reads or fills the user's cache of replies."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"
