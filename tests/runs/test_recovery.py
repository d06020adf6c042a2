"""A damaged journal: every reply whose pages can be read comes back, wherever the damage is, and nothing else does."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autointerp.config.loading import load_config
from autointerp.errors import ArtefactError
from autointerp.runs.journal import open_journal
from autointerp.runs.layout import RunLayout
from autointerp.runs.lock import RunLock
from autointerp.runs.manifest import open_run
from autointerp.runs.recovery import recover_journal, recover_run
from autointerp.runs.reply_record import FailedAttempt, ReplyRecord
from autointerp.seeds import stream
from tests.drawing import examples

PAGE = 4096
N = 400


def name(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def record(number: int) -> ReplyRecord:
    text = f"question {number} " * 30
    request = '{"messages":[{"content":"%s","role":"user"}]}' % name(text)  # noqa: UP031
    return ReplyRecord(
        name(f"key {number}"), "http://e", "m", request, f"reply {number} " * 10, "stop", "m", {name(text): text}
    )


def fill(path: Path) -> dict[str, ReplyRecord]:
    records = [record(number) for number in range(N)]
    with open_journal(path) as journal:
        for made in records:
            journal.record_reply(made)
        journal.record_failure(FailedAttempt(records[0].key, 1, "JudgeRetry", "HTTP 500", 0.1, 0.0))
    return {made.key: made for made in records}


@pytest.fixture(scope="session")
def sound(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, dict[str, ReplyRecord]]:
    path = tmp_path_factory.mktemp("sound") / "journal.sqlite"
    records = fill(path)
    return path.read_bytes(), records


def check(path: Path, records: dict[str, ReplyRecord]) -> int:
    """What is found is what was written; gives how many replies are found."""
    n_found = 0
    with open_journal(path, must_exist=True) as journal:
        for key, made in records.items():
            found = journal.find_reply(key)
            if found is None:
                continue
            n_found += 1
            assert (found.text, found.request, found.finish) == (made.text, made.request, made.finish)
            request = journal.load_request(key)
            assert request is not None
            assert request["messages"][0]["content"] in (None, *made.parts.values())
        assert journal.totals().n_replies == n_found
    return n_found


def noise(raw: bytes) -> bytes:
    return raw[: -4 * PAGE] + stream(0, "noise").bytes(4 * PAGE)


@pytest.mark.parametrize(
    "damage",
    [noise, lambda raw: raw[: -4 * PAGE], lambda raw: raw[: -4 * PAGE] + bytes(4 * PAGE), lambda raw: raw],
    ids=["noise", "cut short", "zeros", "sound"],
)
def test_damage_in_the_last_pages_costs_what_was_there(
    tmp_path: Path, sound: tuple[bytes, dict[str, ReplyRecord]], damage: Callable[[bytes], bytes]
) -> None:
    path, (raw, records) = tmp_path / "journal.sqlite", sound
    path.write_bytes(damage(raw))
    result = recover_journal(path)
    n_found = check(path, records)
    assert result.n_replies == n_found
    assert result.n_before in (N, None)
    assert N - 40 <= n_found <= N
    assert n_found == N or damage(raw) != raw
    assert result.damaged.read_bytes() == damage(raw)


@settings(max_examples=examples(15), deadline=None)
@given(places=st.sets(st.floats(min_value=0.0, max_value=1.0), min_size=1, max_size=5), seed=st.integers(0, 100))
def test_damage_anywhere_brings_back_nothing_wrong_and_most_of_the_rest(
    tmp_path_factory: pytest.TempPathFactory, sound: tuple[bytes, dict[str, ReplyRecord]], places: set[float], seed: int
) -> None:
    raw, records = bytearray(sound[0]), sound[1]
    n_pages = len(raw) // PAGE
    for place in places:
        page = 20 + int(place * (n_pages - 21))  # behind the tables' roots
        raw[page * PAGE : (page + 1) * PAGE] = stream(seed, "noise", page).bytes(PAGE)
    path = tmp_path_factory.mktemp("damaged") / "journal.sqlite"
    path.write_bytes(raw)
    recover_journal(path)
    assert check(path, records) >= N // 2


def test_a_second_damaged_file_does_not_replace_the_first(
    tmp_path: Path, sound: tuple[bytes, dict[str, ReplyRecord]]
) -> None:
    path = tmp_path / "journal.sqlite"
    places = []
    for _ in range(2):
        path.write_bytes(noise(sound[0]))
        places.append(recover_journal(path).damaged.name)
    assert places == ["journal.damaged.sqlite", "journal.damaged-2.sqlite"]
    assert {p.name for p in tmp_path.iterdir()} == {*places, "journal.sqlite"}


def test_what_cannot_be_read_at_all_is_told_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    with pytest.raises(ArtefactError, match="does not exist"):
        recover_journal(path)
    path.write_bytes(b"this is no database " * 1000)
    with pytest.raises(ArtefactError, match=r"cannot be recovered .*move it away"):
        recover_journal(path)
    assert [p.name for p in tmp_path.iterdir()] == ["journal.sqlite"]


def test_one_of_a_foreign_schema_is_left_as_it_is(tmp_path: Path, sound: tuple[bytes, dict[str, ReplyRecord]]) -> None:
    path = tmp_path / "journal.sqlite"
    path.write_bytes(sound[0])
    with sqlite3.connect(path) as other:
        other.execute("PRAGMA user_version = 99")
    other.close()
    raw = noise(path.read_bytes())
    path.write_bytes(raw)
    with pytest.raises(ArtefactError, match="schema version 99"):
        recover_journal(path)
    assert path.read_bytes() == raw
    assert not list(tmp_path.glob("*.recovered"))


def test_a_run_asks_again_only_where_its_journal_was_damaged(
    tmp_path: Path, sound: tuple[bytes, dict[str, ReplyRecord]]
) -> None:
    layout = RunLayout(tmp_path / "run")
    manifest = open_run(layout, load_config("demo"))
    for stage in ("train", "harvest", "explain", "score", "report"):
        manifest.finish(stage, {})
    layout.journal.write_bytes(sound[0])
    assert recover_run(layout.root) == []
    assert open_run(layout, load_config("demo")).is_done("score")
    layout.journal.write_bytes(noise(sound[0]))
    with RunLock(layout.lock), pytest.raises(ArtefactError, match="is being written"):
        recover_run(layout.root)
    (result,) = recover_run(layout.root)
    assert result.n_replies > N - 40
    manifest = open_run(layout, load_config("demo"))
    assert [stage for stage in ("train", "harvest", "explain", "score", "report") if manifest.is_done(stage)] == [
        "train",
        "harvest",
    ]
    with pytest.raises(ArtefactError, match="is no run"):
        recover_run(tmp_path / "nowhere")
