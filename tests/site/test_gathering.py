from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from autointerp.board.summary import build_summary, write_summary
from autointerp.errors import ArtefactError, ConfigError
from autointerp.runs.layout import RunLayout
from autointerp.site.gathering import gather_runs


def summarised(root: Path, name: str) -> Path:
    write_summary(RunLayout(root).summary, build_summary(name, []))
    return root


def test_a_run_given_twice_or_as_a_copy_counts_once(tmp_path: Path):
    run = summarised(tmp_path / "a" / "run", "one")
    (run / "manifest.json").write_text("{}")
    copy = tmp_path / "b" / "run"
    shutil.copytree(run, copy)
    assert list(gather_runs([run, run.parent / "." / "run", copy, tmp_path / "a"])) == ["run"]


def test_a_folder_stands_for_its_runs_and_labels_tell_them_apart(tmp_path: Path):
    for where in ("a/run", "b/run", "b/other"):
        summarised(tmp_path / where, where)
    assert list(gather_runs([tmp_path / "a", tmp_path / "b"])) == ["a/run", "other", "b/run"]


def test_a_folder_without_a_run_is_the_users_mistake(tmp_path: Path):
    with pytest.raises(ConfigError, match="is no run and holds none"):
        gather_runs([tmp_path])
    with pytest.raises(ArtefactError, match="there is no such directory"):
        gather_runs([tmp_path / "missing"])


def test_a_hostile_name_is_spelled_out(tmp_path: Path):
    summarised(tmp_path / "\u202eevil", "x")
    assert list(gather_runs([tmp_path])) == ["\\u202eevil"]
