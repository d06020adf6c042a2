"""A book of evidence reads what is asked for, and only that."""

from __future__ import annotations

import gc
import weakref
from dataclasses import replace
from pathlib import Path

import pytest

from autointerp.errors import ArtefactError
from autointerp.records.evidence import Evidence
from autointerp.records.evidence_book import EvidenceBook, count_windows, outlines_of, some_of
from autointerp.records.evidence_file import ROWS_PER_GROUP, EvidenceFile, keep_features, read_evidence, write_evidence
from autointerp.records.planted import plant_evidence

N = 2 * ROWS_PER_GROUP + 5
FEATURES = [(8 * number) % N for number in range(N)]
"""In no order; the files hold several groups of rows."""


def rows(dictionary: str) -> list[Evidence]:
    return [
        replace(
            plant_evidence(), dictionary=dictionary, feature=feature, windows=plant_evidence().windows[feature % 3 :]
        )
        for feature in FEATURES
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evidence")
    for name in ("b", "a"):
        write_evidence(folder / name, rows(name), notes={"packing": "whole"})
    return folder


@pytest.fixture
def book(folder: Path) -> EvidenceBook:
    return EvidenceBook(EvidenceFile(folder / name, dictionary=name) for name in ("b", "a"))


ALL = [*rows("b"), *rows("a")]


def test_it_is_the_list_that_was_written(book: EvidenceBook) -> None:
    assert list(book) == ALL
    assert [book[number] for number in (N, 0, -1, N - 1)] == [ALL[number] for number in (N, 0, -1, N - 1)]
    assert list(book[N - 2 : N + 2]) == ALL[N - 2 : N + 2]
    assert [(o.dictionary, o.feature, o.density, o.unscored) for o in outlines_of(book)] == [
        (e.dictionary, e.feature, e.density, e.unscored) for e in ALL
    ]


def test_its_parts_are_those_of_the_list(book: EvidenceBook) -> None:
    ordered = sorted(ALL, key=lambda e: (e.dictionary, e.feature))
    assert list(book.by_feature()) == ordered
    for chosen in (some_of(book, lambda e: e.feature % 5 == 1), some_of(ALL, lambda e: e.feature % 5 == 1)):
        assert list(chosen) == [e for e in ALL if e.feature % 5 == 1]
        assert count_windows(chosen, "score", "top") == [len(e.select("score", "top")) for e in chosen]
        assert count_windows(chosen, "explain", "random") == [len(e.select("explain", "random")) for e in chosen]
    assert list(book.where(lambda _: False)) == []
    done = {("a", feature) for feature in range(10)}
    is_done = [(e.dictionary, e.feature) in done for e in book.with_last(done)]
    assert is_done == sorted(is_done)
    assert sum(is_done) == len(done)


def test_a_group_is_read_once_in_order_and_never_when_nothing_of_it_is_wanted(
    book: EvidenceBook, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[tuple[int, int]] = []
    original = EvidenceFile.read_group

    def watched(self: EvidenceFile, number: int, rows: list[int] | None = None) -> list[Evidence]:
        read.append((number, len(rows or ())))
        return original(self, number, rows)

    monkeypatch.setattr(EvidenceFile, "read_group", watched)
    list(book)
    assert read == [(0, ROWS_PER_GROUP), (1, ROWS_PER_GROUP), (2, 5)] * 2
    read.clear()
    assert [e.feature for e in book.where(lambda o: o.dictionary == "a" and o.feature == FEATURES[-1])] == [
        FEATURES[-1]
    ]
    assert read == [(2, 1)]


def test_damage_in_a_group_is_found_when_it_is_read(folder: Path, tmp_path: Path) -> None:
    raw = bytearray((folder / "a").read_bytes())
    place = len(raw) // 2
    raw[place : place + 64] = bytes(64)
    (tmp_path / "a").write_bytes(raw)
    with pytest.raises(ArtefactError, match="damaged"):
        list(EvidenceBook([EvidenceFile(tmp_path / "a")]))


def test_kept_features_are_drawn_by_groups_and_keep_the_notes(folder: Path, tmp_path: Path) -> None:
    drawn = {}
    for n in (3, N - 7):
        file = tmp_path / f"{n}"
        file.write_bytes((folder / "a").read_bytes())
        keep_features(file, n, dictionary="a")
        drawn[n] = [e.feature for e in read_evidence(file)]
        assert EvidenceFile(file).notes() == {"packing": "whole"}
        assert len(drawn[n]) == n
    assert set(drawn[3]) < set(drawn[N - 7])
    assert drawn[N - 7] == [feature for feature in FEATURES if feature in drawn[N - 7]]


def test_a_dropped_book_is_gone_before_garbage_is_collected(folder: Path):
    book = EvidenceBook([EvidenceFile(folder / "a", dictionary="a")])
    assert book[0] is book[0]
    dropped = weakref.ref(book)
    gc.disable()
    try:
        del book
        assert dropped() is None
    finally:
        gc.enable()
