"""What a run does is in its file while it does it, and gone afterwards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from autointerp.progress import SilentProgress
from autointerp.runs.doing import KeptBar, read_doing
from autointerp.runs.layout import RunLayout
from autointerp.runs.log import LoggedProgress


class Shown:
    """A bar that keeps what it was told."""

    def __init__(self) -> None:
        self.updates: list[tuple[float, Any]] = []

    def update(self, done: float, **more: Any) -> None:
        self.updates.append((done, more))


def test_a_bar_is_kept_once_a_second_and_shown_every_time(tmp_path: Path):
    now, shown, path = [100.0], Shown(), tmp_path / "progress.json"
    bar = KeptBar(shown, path, "score \x1b[2J", total=None, unit="features", clock=lambda: now[0])
    assert read_doing(path) == {
        "label": "score \\u001b[2J",
        "unit": "features",
        "done": 0.0,
        "total": None,
        "note": "",
        "eta_s": None,
        "began_at": 100.0,
        "at": 100.0,
    }
    for step in range(1, 5):
        now[0] += 0.4
        bar.update(step, total=8, note=f"${step}", eta_s=9.0 - step)
    found = read_doing(path)
    assert found is not None
    assert (found["done"], found["total"], found["note"], found["eta_s"]) == (3, 8, "$3", 6.0)
    assert [done for done, _ in shown.updates] == [1, 2, 3, 4]
    bar.end()
    assert read_doing(path) is None


def test_a_log_leaves_no_progress_behind(tmp_path: Path):
    layout = RunLayout(tmp_path)
    with pytest.raises(ZeroDivisionError), LoggedProgress(SilentProgress(), layout).bar("train"):
        assert (read_doing(layout.progress) or {})["label"] == "train"
        raise ZeroDivisionError
    assert not layout.progress.exists()


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '"score"'])
def test_a_damaged_file_is_none(tmp_path: Path, content: str):
    path = tmp_path / "progress.json"
    path.write_text(content)
    assert read_doing(path) is None


def test_a_folder_that_takes_no_file_stops_nobody(tmp_path: Path):
    (tmp_path / "file").write_text("")
    bar = KeptBar(Shown(), tmp_path / "file" / "progress.json", "train", total=1, unit="")
    bar.update(1)
    bar.end()
