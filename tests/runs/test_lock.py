"""The lock of a run: one holder, named to whoever comes second, and free again however the holder ends."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path
from threading import Timer

import pytest

from autointerp.config.loading import load_config
from autointerp.errors import ArtefactError, ConfigError
from autointerp.runs.layout import RunLayout
from autointerp.runs.lock import RunLock, is_locked
from autointerp.runs.manifest import open_run

_ROOT = Path(__file__).parents[2]
_HOLD = """
import sys, time
from pathlib import Path
from autointerp.runs.lock import RunLock
with RunLock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "run.lock"


def test_another_process_is_told_who_holds_it_until_that_one_is_killed(path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(path)], cwd=_ROOT, stdout=subprocess.PIPE, text=True, env=os.environ
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(ArtefactError, match=rf"^run .*run is being written by process {holder.pid} on .*--out$"):
        RunLock(path).__enter__()
    path.unlink()
    with pytest.raises(ArtefactError, match="is being written by another process"):
        RunLock(path).__enter__()
    holder.send_signal(signal.SIGKILL)
    holder.communicate()
    assert path.exists()
    with RunLock(path):
        assert f"process {os.getpid()} " in path.read_text()
    assert not path.exists()


def test_a_second_holder_in_the_same_process_is_refused_too(path: Path) -> None:
    with RunLock(path):
        with pytest.raises(ArtefactError, match=r"shard 2/8 of run .* is being written"):
            RunLock(path, noun="shard 2/8 of run").__enter__()
        assert path.exists()
    with RunLock(path):
        pass


def test_a_lock_file_deleted_under_its_opener_is_opened_anew(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between opening and locking, the last holder deletes the file: a lock on a file without a name holds nothing."""
    real, n_calls = fcntl.flock, 0

    def flock(descriptor: int, operation: int) -> None:
        nonlocal n_calls
        n_calls += 1
        if n_calls == 2:  # the first locks the folder
            path.unlink()
        real(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", flock)
    with RunLock(path):
        assert n_calls == 3
        with pytest.raises(ArtefactError, match="is being written"):
            RunLock(path).__enter__()


def test_deleting_the_lock_file_lets_nobody_in(path: Path) -> None:
    """The folder is locked, too, and that nobody deletes by accident."""
    with RunLock(path):
        path.unlink()
        assert is_locked(path)
        with pytest.raises(ArtefactError, match=r"^run .*run is being written by another process; wait"):
            RunLock(path).__enter__()
        path.unlink()
    assert not is_locked(path)
    with RunLock(path):
        pass


def test_whoever_only_looks_is_in_nobodys_way(path: Path) -> None:
    path.parent.mkdir()
    looking = os.open(path.parent, os.O_RDONLY)
    fcntl.flock(looking, fcntl.LOCK_SH)
    Timer(0.01, os.close, [looking]).start()
    with RunLock(path):
        pass


def test_a_pipe_in_place_of_the_lock_file_holds_nobody_up(path: Path) -> None:
    path.parent.mkdir()
    os.mkfifo(path)
    assert not is_locked(path)
    with RunLock(path):
        assert is_locked(path)


def test_an_error_inside_releases_it(path: Path) -> None:
    with pytest.raises(ConfigError, match="wrong"), RunLock(path):
        raise ConfigError("wrong")
    with RunLock(path):
        pass


def test_where_there_are_no_locks_the_run_goes_on(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    with RunLock(path), RunLock(path):
        pass


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ArtefactError, match=r"cannot write .*file/run\.lock"):
        RunLock(tmp_path / "file" / "run.lock").__enter__()


def test_beginning_anew_keeps_the_lock(tmp_path: Path) -> None:
    layout, config = RunLayout(tmp_path / "run"), load_config("demo")
    with RunLock(layout.lock):
        open_run(layout, config).finish("train", {})
        (layout.evidence / "old").mkdir(parents=True)
        assert not open_run(layout, config, fresh=True).is_done("train")
        assert layout.lock.exists()
        assert not layout.evidence.exists()
        with pytest.raises(ArtefactError, match="is being written"):
            RunLock(layout.lock).__enter__()


def test_beginning_anew_deletes_nothing_that_is_no_run(tmp_path: Path) -> None:
    layout = RunLayout(tmp_path)
    (tmp_path / "letter.txt").write_text("dear")
    with RunLock(layout.lock), pytest.raises(ConfigError, match="which is no run"):
        open_run(layout, load_config("demo"), fresh=True)
    assert (tmp_path / "letter.txt").exists()
