"""A disk that is full and a folder that is read-only: one line that names the place and the fix, and nothing lost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from autointerp.runs import journal
from autointerp.runs.layout import RunLayout
from tests.chaos.client import words
from tests.chaos.conftest import Calm
from tests.chaos.places import LimitedFiles, SmallDisk, TinyPlace, read_only
from tests.chaos.reading import read_replies, results_of
from tests.chaos.server import ChaosServer
from tests.integration.commands import call, one_line

RESERVE_BYTES = 1_500_000
DISK_BYTES, FILE_BYTES = RESERVE_BYTES + 200_000, 60_000
"""Room for the evidence and a little of the journal, on a disk and in any one file."""
STEP_BYTES = 60_000


@pytest.fixture(params=["disk", pytest.param("files", marks=pytest.mark.full)])
def tiny(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[TinyPlace]:
    """A small disk, and files that may not grow: the latter in the former's place where mounting is not permitted."""
    place: TinyPlace = LimitedFiles(tmp_path / "tiny", FILE_BYTES)
    if request.param == "disk" and SmallDisk.is_permitted(tmp_path / "probe"):
        place = SmallDisk(tmp_path / "tiny", DISK_BYTES)
    with place:
        yield place


@pytest.mark.filterwarnings("ignore:replies are no longer shared")
def test_a_full_disk_loses_nothing_and_the_same_command_goes_on(
    calm: Calm,
    tiny: TinyPlace,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out, kept, n_full, is_disk = tiny.root / "run", dict[str, str](), 0, isinstance(tiny, SmallDisk)
    # of no use where it is the files that may not grow; but there, too, it has to be set aside
    monkeypatch.setattr(journal, "_RESERVE_BYTES", RESERVE_BYTES if is_disk else FILE_BYTES // 2)
    with ChaosServer(tmp_path / "log", delay_s=0.04) as server:
        for step in range(40):
            tiny.resize(tiny.n_bytes + step * STEP_BYTES)
            before = server.arrivals.copy()
            # a cache of its own each time: what is not asked again must be in the journal
            line = words(calm.source, out, server.base_url, cache=tmp_path / f"cache{step}", n_concurrent=4)
            called = call(capsys, *line)
            assert all(server.arrivals[content] == before[content] for content in kept.values()), "asked again"
            if called.code == 0:
                break
            one_line(called, str(tiny.root), "space")
            assert "damaged" not in called.err
            found = read_replies(RunLayout(out).journal, tmp_path / "copy")
            assert found.keys() >= kept.keys(), "what was journalled is gone"
            n_full += 0 < len(found) < calm.n_requests
            kept = found
        else:
            pytest.fail("it never came to an end")
        n_repeated = server.n_arrivals - calm.n_requests
    assert n_full > 0, "the disk was never full while the judge was asked: the test shows nothing"
    if is_disk:
        assert n_repeated == 0, "what was on its way when the disk was full was not written into the reserve"
    assert results_of(RunLayout(out), tmp_path / "copy") == results_of(calm.run, tmp_path / "copy")


def test_a_read_only_folder_is_told_and_the_run_goes_on_once_it_is_not(
    calm: Calm, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "results"
    folder.mkdir()
    with ChaosServer(tmp_path / "log") as server:
        line = words(calm.source, folder / "run", server.base_url, cache=tmp_path / "cache")
        with read_only(folder):
            one_line(call(capsys, *line), str(folder), "writable")
        one_line(call(capsys, *line, "--max-requests", "20"), "limits.max_requests", code=3)
        before = server.n_arrivals
        with read_only(folder):
            one_line(call(capsys, *line), str(folder / "run"), "writable")
            one_line(call(capsys, "report", folder / "run"), str(folder / "run"), "writable")
        assert server.n_arrivals == before, "it asked although it could write nothing down"
        assert call(capsys, *line).code == 0
        with read_only(folder):
            one_line(call(capsys, "report", folder / "run"), str(folder / "run"), "writable")
            assert call(capsys, "leaderboard", folder / "run").code == 0
        assert max(server.arrivals.values()) == 1
    assert results_of(RunLayout(folder / "run"), tmp_path / "copy") == results_of(calm.run, tmp_path / "copy")
