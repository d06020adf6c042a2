"""The reply cache: shared between processes, silent rather than fatal when it breaks."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from autointerp.errors import ArtefactError
from autointerp.runs.reply_cache import default_cache_path, open_reply_cache
from autointerp.runs.reply_record import ReplyRecord


def record(key: str, text: str = "reply") -> ReplyRecord:
    request = '{"messages":[{"content":"h-' + key + '","role":"user"}]}'
    return ReplyRecord(key, "e", "m", request, text, "stop", "m", {f"h-{key}": f"about {key}"}, usd=0.5)


def test_a_reply_is_found_whole_at_once_and_by_a_later_run(tmp_path: Path) -> None:
    with open_reply_cache(tmp_path / "c") as cache:
        cache.store(record("a"))
        assert cache.find("a") == record("a")
        cache.flush()
        assert cache.find("a") == record("a")
        assert cache.find("b") is None
    with open_reply_cache(tmp_path / "c") as cache:
        assert cache.find("a") == record("a")


def test_the_first_reply_under_a_key_stays(tmp_path: Path) -> None:
    with open_reply_cache(tmp_path / "c") as cache:
        cache.store(record("a", "first"))
        cache.flush()
        cache.store(record("a", "second"))
    with open_reply_cache(tmp_path / "c") as cache:
        found = cache.find("a")
    assert found is not None
    assert found.text == "first"


_WRITE = """
import sys
from pathlib import Path
from autointerp.runs.reply_cache import open_reply_cache
from tests.runs.test_reply_cache import record
with open_reply_cache(Path(sys.argv[1])) as cache:
    for i in range(200):
        cache.store(record(f"{sys.argv[2]}-{i}"))
        if i % 20 == 0:
            cache.flush()
"""


def test_several_processes_write_at_once(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    writers = [
        subprocess.Popen([sys.executable, "-c", _WRITE, str(tmp_path / "c"), name], cwd=root, stderr=subprocess.PIPE)
        for name in "abc"
    ]
    for writer in writers:
        _, errors = writer.communicate(timeout=60)
        assert writer.returncode == 0, errors.decode()
    with open_reply_cache(tmp_path / "c") as cache:
        assert all(cache.find(f"{name}-{i}") is not None for name in "abc" for i in range(200))


def test_a_cache_that_cannot_be_written_warns_once_and_falls_silent(tmp_path: Path) -> None:
    cache = open_reply_cache(tmp_path / "c")
    cache.store(record("a"))
    cache.flush()
    writer = cache._store._writer
    assert writer is not None
    writer.execute("PRAGMA max_page_count = 1")
    with pytest.warns(RuntimeWarning, match="no longer shared"):
        cache.store(replace(record("b"), text="x" * 100_000))
        cache.flush()
    cache.store(record("c"))
    assert cache.find("a") is None
    cache.close()


def test_a_damaged_cache_is_named_with_the_fix(tmp_path: Path) -> None:
    (tmp_path / "c").write_text("prose, not a database " * 100)
    with pytest.raises(ArtefactError, match=r"reply cache .* is damaged .*move it away"):
        open_reply_cache(tmp_path / "c")


def test_where_the_users_own_cannot_be_made_nothing_is_shared_and_the_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.warns(RuntimeWarning, match="replies are not shared between runs: .*file"):
        cache = open_reply_cache()
    with cache:
        cache.store(record("a"))
        cache.flush()
        assert cache.find("a") is None
    with pytest.raises(ArtefactError, match="cannot be created"):  # one that was asked for by name
        open_reply_cache(tmp_path / "file" / "c")


def test_it_lies_where_the_platform_keeps_caches(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache_path() == tmp_path / "autointerp" / "replies.sqlite"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert tmp_path in default_cache_path().parents


def test_a_run_that_only_stores_holds_no_more_than_what_is_not_yet_on_disk(tmp_path: Path) -> None:
    with open_reply_cache(tmp_path / "c") as cache:
        for number in range(30):
            cache.store(record(str(number)))
            cache.flush()
        assert len(cache._recent) <= 1
