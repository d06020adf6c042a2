"""Two workers of either engine leave the bytes of one process, stage by stage."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from autointerp import pipeline
from autointerp.config.loading import keep_dictionaries
from autointerp.engine.engine import Engine
from autointerp.progress import SilentProgress
from autointerp.runs.layout import RunLayout
from autointerp.runs.manifest import read_manifest
from autointerp.stages import harvest, train
from tests.integration.conftest import World
from tests.integration.conftest import world as world
from tests.integration.world import LITTLE_TEXT
from tests.stages.harvested import make_config, make_run


@pytest.fixture
def with_engine(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """Runs that open an engine get this one."""

    @contextmanager
    def opened(_: object) -> Iterator[Engine]:
        yield engine

    monkeypatch.setattr(pipeline, "open_engine", opened)
    return engine


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> RunLayout:
    config = make_config()
    return pipeline.run(config, out=make_run(tmp_path_factory.mktemp("whole") / "run", config, n_features=4).root)


def test_asking(with_engine: Engine, whole: RunLayout, tmp_path: Path) -> None:
    config = make_config("engine.workers=2")
    run = make_run(tmp_path / "run", config, n_features=4)
    pipeline.run(config, out=run.root)
    for file in (run.scores, run.summary, run.report):
        assert file.read_bytes() == (whole.root / file.name).read_bytes()
    for stage in ("explain", "score"):
        assert read_manifest(run)["stages"][stage] == read_manifest(whole)["stages"][stage]
    assert not run.shards.exists()
    assert "[2/2] score: 24 requests sent" in run.log.read_text()


@pytest.mark.parametrize("engine", ["local", pytest.param("ray", marks=pytest.mark.full)], indirect=True)
def test_harvest(engine: Engine, world: World, tmp_path: Path) -> None:
    """Both passes, of two dictionaries that share what they read."""
    run = RunLayout(tmp_path / "run")
    shutil.copytree(world.few.root, run.root)
    shutil.copytree(world.run.dictionaries, run.dictionaries, dirs_exist_ok=True)
    config = pipeline.load_run_config(run)
    before = {file.name: file.read_bytes() for file in run.evidence.iterdir()}
    shutil.rmtree(run.evidence)
    harvest.run(config, run, SilentProgress(), engine=engine)
    assert {file.name: file.read_bytes() for file in run.evidence.iterdir()} == before


@pytest.mark.full
@pytest.mark.parametrize("activations", ["disk", "stream"])
def test_training(engine: Engine, world: World, tmp_path: Path, activations: str) -> None:
    """Three dictionaries of one site by two workers; what is left besides is as one process leaves it."""
    config = world.config(*LITTLE_TEXT, f"train.activations='{activations}'")
    config = keep_dictionaries(config, ["neurons", "sae", "topk", "random"])
    left = {}
    for name, by in {"one": None, "two": engine}.items():
        run = RunLayout(tmp_path / name)
        train.run(config, run, SilentProgress(), engine=by)
        left[name] = {
            str(path.relative_to(run.root)): path.read_bytes()
            for path in sorted(run.root.rglob("*"))
            if path.is_file() and path.parent != run.activations
        }
    assert left["one"] == left["two"]
