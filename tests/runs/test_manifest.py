"""A run's manifest: its stage lines are the only "done", and another config never mixes into it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from autointerp.config.loading import load_config
from autointerp.errors import ArtefactError, ConfigError
from autointerp.runs.layout import RunLayout, write_atomically, write_text
from autointerp.runs.manifest import open_run


@pytest.fixture
def layout(tmp_path: Path) -> RunLayout:
    return RunLayout(tmp_path / "run")


def test_a_finished_stage_is_remembered(layout: RunLayout) -> None:
    config = load_config("demo")
    manifest = open_run(layout, config)
    assert not manifest.is_done("train")
    manifest.finish("train", {"n_tokens": 5})
    again = open_run(layout, config)
    assert again.is_done("train")
    assert again.facts("train") == {"n_tokens": 5}
    again.forget("train")
    assert not open_run(layout, config).is_done("train")


def test_another_config_is_refused_with_the_keys_that_differ(layout: RunLayout) -> None:
    open_run(layout, load_config("demo")).finish("train", {})
    with pytest.raises(ConfigError, match=r"harvest.n_features: 200 -> 7"):
        open_run(layout, load_config("demo", ["harvest.n_features=7"]))


def test_a_mistake_is_mended_in_place_where_nothing_is_finished(layout: RunLayout) -> None:
    open_run(layout, load_config("demo", ["subject.model='bulitin'"]))
    open_run(layout, load_config("demo", ["seed=3"]))
    assert load_config(layout.config) == load_config("demo", ["seed=3"])
    assert json.loads(layout.manifest.read_text())["seed"] == 3


def test_limits_may_change_between_two_calls(layout: RunLayout) -> None:
    open_run(layout, load_config("demo")).finish("train", {})
    open_run(layout, load_config("demo", ["limits.max_usd=3.0", "limits.max_concurrent=2"]))


def test_fresh_starts_anew(layout: RunLayout) -> None:
    open_run(layout, load_config("demo")).finish("train", {})
    assert not open_run(layout, load_config("demo", ["seed=3"]), fresh=True).is_done("train")


def test_fresh_deletes_only_runs(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(ConfigError, match="is no run"):
        open_run(RunLayout(tmp_path), load_config("demo"), fresh=True)
    assert (tmp_path / "thesis.txt").exists()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema_version": 1}', '{"schema_version": 99, "stages": {}}'])
def test_a_damaged_or_foreign_manifest_is_one_line(layout: RunLayout, text: str) -> None:
    open_run(layout, load_config("demo"))
    layout.manifest.write_text(text)
    with pytest.raises(ArtefactError, match="--fresh"):
        open_run(layout, load_config("demo"))


def test_the_manifest_names_versions_and_seed(layout: RunLayout) -> None:
    open_run(layout, load_config("demo"))
    content = json.loads(layout.manifest.read_text())
    assert content["seed"] == 0
    assert "pandas" in content["packages"]


def test_an_interrupted_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    write_text(path, "old")

    def fail(temporary: Path) -> None:
        temporary.write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(ArtefactError, match="No space left on device"):
        write_atomically(path, fail)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["file.txt"]
