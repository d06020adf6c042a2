"""A run at an address: what travels, in which order, which side counts, and who may write."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from autointerp.errors import ArtefactError, ConfigError, RunStopped
from autointerp.runs import keeping
from autointerp.runs.layout import RunLayout
from autointerp.runs.lock import RunLock
from autointerp.runs.remote import address_of, open_out, open_part, open_run, put_back
from autointerp.runs.shards import Shard
from autointerp.runs.working_copy import WorkingCopy

pytest.importorskip("fsspec", reason="fsspec is not installed: pip install '.[remote]'")


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """The folder behind the address; the store of these tests shows halves and names, as object stores do not."""
    return tmp_path / "store" / "run"


@pytest.fixture
def url(store: Path) -> str:
    return f"file://{store}"


class Machines:
    """The same user on several machines: a cache each."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._root, self._monkeypatch = tmp_path, monkeypatch

    def be(self, name: str) -> None:
        self._monkeypatch.setenv("XDG_CACHE_HOME", str(self._root / name))


@pytest.fixture
def machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machines:
    machines = Machines(tmp_path, monkeypatch)
    machines.be("first")
    return machines


def write(root: Path, **files: str) -> None:
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("_json", ".json")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def add(path: Path, *values: int) -> None:
    with closing(sqlite3.connect(path)) as journal, journal:
        journal.execute("CREATE TABLE IF NOT EXISTS t (n)")
        journal.executemany("INSERT INTO t VALUES (?)", [(value,) for value in values])


def rows(path: Path) -> list[int]:
    with closing(sqlite3.connect(path)) as journal:
        return [row[0] for row in journal.execute("SELECT n FROM t ORDER BY n")]


def test_a_folder_stays_what_it_is(tmp_path: Path, machines: Machines) -> None:
    run = tmp_path / "run"
    assert open_run(run) == open_out(str(run)) == open_part(run, Shard(2, 1)) == address_of(run) == run
    put_back(run)
    with RunLock(RunLayout(run).lock):
        put_back(run)
    assert not (tmp_path / "first").exists()


def test_what_one_machine_wrote_another_reads_and_goes_on_with(store: Path, url: str, machines: Machines) -> None:
    first = open_out(url)
    assert first.name == "run"
    with RunLock(RunLayout(first).lock):
        write(first, manifest_json="one", evidence__a="aaa", training__state="big", activations__x="big")
        add(first / "journal.sqlite", 1)
        put_back(first)
        assert names(store) == {"manifest.json", "evidence/a", "journal.sqlite", keeping.LEASE}
        write(first, evidence__b="b")
    assert names(store) == {"manifest.json", "evidence/a", "evidence/b", "journal.sqlite"}
    machines.be("second")
    second = open_run(url)
    assert second != first
    assert names(second) == names(store)
    with RunLock(RunLayout(second).lock):
        write(second, evidence__a="a2")
        (second / "evidence/b").unlink()
        add(second / "journal.sqlite", 2)
    machines.be("first")
    assert open_run(url + "/") == first
    assert (first / "evidence/a").read_text() == "a2"
    assert not (first / "evidence/b").exists()
    assert rows(first / "journal.sqlite") == rows(store / "journal.sqlite") == [1, 2]
    assert (first / "training/state").exists()


def test_only_what_differs_travels(store: Path, url: str, machines: Machines, monkeypatch: pytest.MonkeyPatch) -> None:
    from fsspec.implementations.local import LocalFileSystem

    moved: list[str] = []
    for way in ("get_file", "put_file"):
        plain = getattr(LocalFileSystem, way)

        def noted(self, a: str, b: str, *args, plain=plain, way=way, **kwargs) -> None:
            moved.append(f"{way} {Path(a).name}")
            plain(self, a, b, *args, **kwargs)

        monkeypatch.setattr(LocalFileSystem, way, noted)
    root = open_out(url)
    with RunLock(RunLayout(root).lock):
        write(root, a="a", b="b", manifest_json="m")
        put_back(root)
        put_back(root)
        assert moved == ["put_file a", "put_file b", "put_file manifest"]
        write(root, b="bb")
    assert moved[3:] == ["put_file b"]
    machines.be("second")
    open_run(url)
    open_run(url)
    assert sorted(moved[4:]) == ["get_file a", "get_file b", "get_file manifest.json"]


def test_a_manifest_is_put_after_what_it_vouches_for_and_as_it_was_before_that(
    store: Path, url: str, machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = open_out(url)
    plain = WorkingCopy._send

    def send(self: WorkingCopy, name: str, path: Path) -> list:
        if name == "evidence/a":
            assert not (store / "manifest.json").exists()
            write(root, evidence__late="late", manifest_json="vouches for what is late")
        return plain(self, name, path)

    monkeypatch.setattr(WorkingCopy, "_send", send)
    with RunLock(RunLayout(root).lock):
        write(root, manifest_json="early", evidence__a="a")
        put_back(root)
        assert (store / "manifest.json").read_text() == "early"
        assert not (store / "evidence/late").exists()
    assert (store / "manifest.json").read_text() == "vouches for what is late"
    assert (store / "evidence/late").exists()


def test_a_database_is_put_as_of_one_moment_while_it_is_written(store: Path, url: str, machines: Machines) -> None:
    root = open_out(url)
    with RunLock(RunLayout(root).lock):
        journal = sqlite3.connect(root / "journal.sqlite", isolation_level=None)
        journal.execute("PRAGMA journal_mode = WAL")
        journal.execute("CREATE TABLE t (n)")
        journal.execute("INSERT INTO t VALUES (1)")
        journal.execute("BEGIN IMMEDIATE")
        journal.execute("INSERT INTO t VALUES (2)")
        put_back(root)
        assert rows(store / "journal.sqlite") == [1]
        journal.execute("COMMIT")
        put_back(root)  # only its log has changed
        assert rows(store / "journal.sqlite") == [1, 2]
        journal.close()
    assert names(store) == {"journal.sqlite"}


def test_of_what_both_changed_the_stores_counts_and_a_database_is_kept(
    store: Path, url: str, machines: Machines
) -> None:
    first = open_out(url)
    with RunLock(RunLayout(first).lock):
        write(first, a="a", b="b")
        add(first / "journal.sqlite", 1)
    write(first, a="mine", c="mine")
    add(first / "journal.sqlite", 2)
    time.sleep(0.01)
    write(store, a="theirs", b="theirs")
    add(store / "journal.sqlite", 3)
    assert open_run(url) == first
    assert [(first / name).read_text() for name in "abc"] == ["theirs", "theirs", "mine"]
    assert rows(first / "journal.sqlite") == [1, 3]
    (kept,) = first.parent.glob("kept-*.sqlite")
    assert rows(kept) == [1, 2]


def test_a_cleared_cache_deletes_nothing(store: Path, url: str, machines: Machines) -> None:
    root = open_out(url)
    with RunLock(RunLayout(root).lock):
        write(root, a="a", b="b")
    (root / "a").unlink()
    with RunLock(RunLayout(root).lock):
        assert (root / "a").read_text() == "a"
    for path in root.iterdir():
        path.unlink()
    root.rmdir()
    with RunLock(RunLayout(root).lock):
        pass
    assert names(store) == names(root) == {"a", "b"}


def test_a_store_that_lost_everything_gets_it_again(store: Path, url: str, machines: Machines) -> None:
    root = open_out(url)
    with RunLock(RunLayout(root).lock):
        write(root, a="a", evidence__b="b")
    shutil.rmtree(store)
    assert open_out(url) == root
    with RunLock(RunLayout(root).lock):
        pass
    assert names(store) == names(root) == {"a", "evidence/b"}


def test_a_second_coordinator_is_refused_until_the_first_has_ended_or_is_silent(
    url: str, machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = open_out(url)
    with RunLock(RunLayout(first).lock):
        machines.be("second")
        second = RunLayout(open_out(url))
        with pytest.raises(ArtefactError, match=rf"^run {url} is being written by process {os.getpid()} on .* ago; .*"):
            RunLock(second.lock).__enter__()
    with RunLock(second.lock):
        pass
    lost = RunLock(RunLayout(first).lock)
    lost.__enter__()
    monkeypatch.setattr(keeping, "STALE_S", 0.0)
    write(first, a="from the silent one")
    with RunLock(second.lock):
        write(second.root, a="from the second")
        keeper = lost._keeping
        assert keeper is not None
        with pytest.raises(ArtefactError, match="was taken over by process"):
            keeper._renew()


def test_who_lost_the_lease_is_interrupted_and_puts_nothing_more(
    store: Path, url: str, machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "BEAT_S", 0.01)
    root = open_out(url)
    said = r"^run .* was taken over by another; nothing more"
    with pytest.raises(ArtefactError, match=said), RunLock(RunLayout(root).lock):
        write(root, a="a")
        lease = {"holder": "other", "owner": "another", "at": time.time()}
        (store / keeping.LEASE).write_text(json.dumps(lease))
        while True:
            time.sleep(0.01)
    assert names(store) == {keeping.LEASE}
    assert (root / "a").exists()


def test_the_same_copy_goes_on_at_once_after_a_kill(store: Path, url: str, machines: Machines) -> None:
    root = open_out(url)
    lock = RunLock(RunLayout(root).lock)
    lock.__enter__()
    lease = (store / keeping.LEASE).read_text()
    lock.__exit__(None, None, None)
    (store / keeping.LEASE).write_text(lease)
    with RunLock(RunLayout(root).lock):
        pass


def test_what_is_written_between_stages_is_put_by_the_clock(
    store: Path, url: str, machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "PUT_S", 0.01)
    root = open_out(url)
    with RunLock(RunLayout(root).lock):
        write(root, a="a")
        until = time.monotonic() + 20
        while not (store / "a").exists():
            assert time.monotonic() < until
            time.sleep(0.01)


def test_a_failing_put_is_one_line_and_loses_nothing(store: Path, url: str, machines: Machines) -> None:
    root = open_out(url)
    with (
        pytest.raises(RunStopped, match=rf"^{url} cannot be used \(.*\); what is done is kept in {root}, the same com"),
        RunLock(RunLayout(root).lock),
    ):
        write(root, a="a")
        put_back(root)
        write(root, a="aa", b="b")
        store.rename(store.with_name("gone"))
        store.write_text("no folder")
    store.unlink()
    store.with_name("gone").rename(store)
    with RunLock(RunLayout(root).lock):
        pass
    assert {name: (store / name).read_text() for name in names(store)} == {"a": "aa", "b": "b"}


def test_a_shards_worker_puts_its_own_folder_alone(store: Path, url: str, machines: Machines) -> None:
    root = open_out(url)
    with RunLock(RunLayout(root).lock):
        write(root, manifest_json="m", shards__1_x="")
        put_back(root)
        parts = {}
        for number in (1, 2):
            shard = Shard(count=2, number=number)
            parts[number] = part = open_part(address_of(root), shard)
            layout = RunLayout(part, shard=shard)
            with RunLock(layout.lock):
                assert (part / "manifest.json").read_text() == "m"
                write(part, manifest_json="mine")
                layout.manifest.write_text(str(number))
        assert parts[1] != parts[2] != root
        assert (store / "manifest.json").read_text() == "m"
        assert {(store / f"shards/{number}-of-2/manifest.json").read_text() for number in (1, 2)} == {"1", "2"}
        assert not (parts[2] / "shards/1-of-2").exists()
        machines.be("second")  # where its worker's part goes on
        again = open_part(address_of(root), Shard(count=2, number=1))
        assert again != parts[1]
        assert (again / "shards/1-of-2/manifest.json").read_text() == "1"


def test_what_a_worker_has_put_anew_is_not_deleted_with_what_was_there(
    store: Path, url: str, machines: Machines
) -> None:
    root = open_out(url)
    with RunLock(RunLayout(root).lock):
        write(root, shards__a="old", shards__b="old")
        put_back(root)
        for name in "ab":
            (root / "shards" / name).unlink()
        time.sleep(0.01)
        write(store, shards__a="anew")
    assert names(store) == {"shards/a"}


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("s3://id:secret@bucket/run", "fsspec's own environment"),
        ("s3://bucket/run?key=secret", "fsspec's own environment"),
        ("s3://bucket/../secret", "fsspec's own environment"),
        ("nonsense://bucket/run", "Protocol not known: nonsense"),
    ],
)
def test_an_address_that_cannot_be_is_refused_in_one_line(address: str, said: str, machines: Machines) -> None:
    with pytest.raises((ConfigError, ArtefactError), match=said) as raised:
        open_out(address)
    assert "secret" not in str(raised.value)


def test_a_missing_package_is_named_with_the_extra(machines: Machines, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "s3fs", None)
    with pytest.raises(ConfigError, match=r"needs a package that is missing .*pip install '\.\[remote\]' in a check"):
        open_out("s3://bucket/run")


def test_a_name_that_leads_out_of_the_folder_is_not_fetched(
    store: Path, url: str, machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(store, a="a")
    wicked = [f"{store}/../wicked", f"{store}//wicked", f"{store}/b/../../wicked"]
    info = {"type": "file", "size": 1}
    found = {f"{store}/a": info} | dict.fromkeys(wicked, info)
    monkeypatch.setattr("fsspec.implementations.local.LocalFileSystem.find", lambda *_, **__: found)
    assert names(open_run(url)) == {"a"}


def test_nothing_at_an_address_is_no_run(url: str, machines: Machines) -> None:
    with pytest.raises(ArtefactError, match=rf"^{url} is no run: nothing is there"):
        open_run(url)
