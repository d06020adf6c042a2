"""Weights & Biases is sent the records and the facts and nothing else; without the package it is one line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from sae_core.config import DictionaryConfig, TrainingConfig
from sae_core.errors import MissingPackageError
from sae_core.synthetic import PlantedDictionary
from sae_core.training.loop import train_dictionaries
from sae_core.training.wandb_log import WandbLog


class FakeWandb(ModuleType):
    """Keeps all that it is told."""

    def __init__(self) -> None:
        super().__init__("wandb")
        self.told: list[tuple[str, Any]] = []

    def Settings(self, **options: Any) -> dict[str, Any]:
        return options

    def init(self, **options: Any) -> FakeWandb:
        self.told.append(("init", options))
        return self

    def define_metric(self, name: str, step_metric: str | None = None) -> None:
        self.told.append(("metric", (name, step_metric)))

    def log(self, values: dict[str, float]) -> None:
        self.told.append(("log", values))

    def finish(self, exit_code: int) -> None:
        self.told.append(("finish", exit_code))


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeWandb:
    module = FakeWandb()
    monkeypatch.setitem(sys.modules, "wandb", module)
    monkeypatch.setenv("WANDB_API_KEY", "very-secret-key")
    monkeypatch.setenv("OPENAI_API_KEY", "other-secret-key")
    return module


def test_every_record_is_sent_under_its_dictionary(fake: FakeWandb, tmp_path: Path) -> None:
    training = TrainingConfig(n_tokens=640, batch_tokens=64)
    configs = {
        name: (DictionaryConfig(kind="topk", n_features=12, k=k), training) for name, k in {"a": 1, "b": 2}.items()
    }
    batches = PlantedDictionary.draw(n_features=8, d_in=6, k=1, seed=0).iter_batches(10, batch_tokens=64, seed=0)
    with WandbLog(project="p", name="r", facts={"layer": 3}, directory=tmp_path / "w", mode="offline") as charts:
        trained = train_dictionaries(configs, batches, device="cpu", on_step=charts.record, record_every_steps=5)
    (kind, options), *_ = fake.told
    assert kind == "init"
    assert (options["project"], options["name"], options["mode"], options["config"]) == (
        "p",
        "r",
        "offline",
        {"layer": 3},
    )
    logged = [values for kind, values in fake.told if kind == "log"]
    assert len(logged) == 2 * 3
    for name in configs:
        sent = [values for values in logged if f"{name}/loss" in values]
        assert [values[f"{name}/fvu"] for values in sent] == [record.fvu for record in trained[name].history]
    assert ("metric", ("a/*", "a/step")) in fake.told
    assert fake.told[-1] == ("finish", 0)
    assert "secret" not in repr(fake.told)


def test_it_sends_no_environment_code_or_console(fake: FakeWandb, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), WandbLog(project="p", name="r", facts={}, directory=tmp_path):
        raise RuntimeError
    settings = fake.told[0][1]["settings"]
    assert settings["console"] == "off"
    assert settings["disable_git"] and settings["disable_code"] and settings["x_disable_meta"]
    assert fake.told[-1] == ("finish", 1)


def test_without_the_package_it_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(MissingPackageError, match="project 'p' needs the package wandb") as caught:
        WandbLog(project="p", name="r", facts={}, directory=tmp_path)
    assert "\n" not in str(caught.value) and "pip install wandb" in str(caught.value)


def test_importing_the_module_does_not_import_the_package() -> None:
    code = "import sys, sae_core.training.wandb_log; sys.exit('wandb' in sys.modules or 'torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
