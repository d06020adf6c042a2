"""Every source of text, the roles and order of documents, and what damage is said to be."""

from __future__ import annotations

import csv
import gzip
import json
import os
import zipfile
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from autointerp.config.tree import CorpusConfig
from autointerp.errors import InputError
from autointerp.hub import network_errors
from autointerp.records.document import Document, role_of
from autointerp.subject.corpus import open_corpus
from autointerp.subject.sources.text import split_text

ROLES = ("dictionary", "explain", "score")
TEXTS = [f"text number {i} — ünïcode 😀" for i in range(30)]


def read_all(path: Path | str, **options) -> list[Document]:
    corpus = open_corpus(CorpusConfig(path=str(path), **options))
    return sorted(
        (document for role in ROLES for document in corpus.iter_documents(role)), key=lambda document: document.id
    )


def write(path: Path) -> Path:
    """A file of TEXTS in the form its suffix names."""
    rows = [{"text": text, "n": i} for i, text in enumerate(TEXTS)]
    if path.suffix == ".json":
        path.write_text(json.dumps(TEXTS), encoding="utf-8")
    elif path.suffix == ".jsonl":
        path.write_text("\n\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    elif path.suffix == ".csv":
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([["n", "text"], *([row["n"], row["text"]] for row in rows)])
    elif path.suffix == ".gz":
        inner = write(path.with_suffix(""))
        path.write_bytes(gzip.compress(inner.read_bytes()))
        inner.unlink()
    elif path.suffix == ".parquet":
        parquet.write_table(pa.Table.from_pylist(rows), path, row_group_size=7)
    elif path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in ("a.json", "b.jsonl", "c.parquet", "README"):
                inner = path.with_name(name)
                archive.write(write(inner), f"data/{name}")
                inner.unlink()
            archive.writestr("data/", "")
            archive.writestr("__MACOSX/x.json", "[broken")
    else:
        path.write_text("a file of another kind")
    return path


@pytest.mark.parametrize("suffix", [".json", ".jsonl", ".csv", ".parquet", ".json.gz", ".jsonl.gz", ".csv.gz"])
def test_rows_become_documents(suffix, tmp_path) -> None:
    documents = read_all(write(tmp_path / f"corpus{suffix}"))
    assert sorted(document.text for document in documents) == sorted(TEXTS)
    assert {document.id for document in documents} == {f"corpus{suffix}#{i}" for i in range(30)}


def test_a_zip_and_a_directory_hold_the_same(tmp_path) -> None:
    archive = write(tmp_path / "corpus.zip")
    folder = tmp_path / "folder"
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(folder, [name for name in opened.namelist() if name.startswith("data/")])
    (folder / ".hidden.json").write_text("[broken")
    from_zip, from_folder = read_all(archive), read_all(folder)
    assert len(from_zip) == 90 and from_zip == from_folder
    assert from_zip[0].id == "data/a.json#0"


MESSAGES = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
ROWS = [{"messages": MESSAGES, "n": i} for i in range(12)]
IDS = [{"input_ids": [i, 7, 8], "attention_mask": [1, 1, 1]} for i in range(12)]


def table(path: Path, rows: list[dict]) -> Path:
    """Rows in the form the suffix names."""
    if path.suffix == ".parquet":
        parquet.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix == ".jsonl":
        path.write_text("\n".join(json.dumps(row) for row in rows))
    else:
        path.write_text(json.dumps(rows))
    return path


@pytest.mark.parametrize("suffix", [".json", ".jsonl", ".parquet"])
def test_conversations_and_token_ids_are_read_where_there_is_no_text(suffix, tmp_path) -> None:
    chat = read_all_roles_tolerant(table(tmp_path / f"chat{suffix}", ROWS))
    assert {d.text for d in chat} == {"user: Hi\nassistant: Hello"} and len(chat) == 12
    assert [dict(message) for message in chat[0].messages] == MESSAGES
    ids = read_all_roles_tolerant(table(tmp_path / f"ids{suffix}", IDS))
    assert sorted(d.token_ids for d in ids) == [(i, 7, 8) for i in range(12)]
    assert {d.id for d in ids} == {f"ids{suffix}#{i}" for i in range(12)} and not any(d.text for d in ids)
    named = read_all_roles_tolerant(tmp_path / f"ids{suffix}", text_field="attention_mask")
    assert {d.token_ids for d in named} == {(1, 1, 1)}


def test_what_is_no_conversation_is_named(tmp_path) -> None:
    table(tmp_path / "a.jsonl", [{"messages": [{"content": "x"}]}])
    check(tmp_path / "a.jsonl", r"a\.jsonl', line 1 holds a message without a role")
    table(tmp_path / "a.jsonl", [{"messages": [{"role": "user", "content": [{"type": "image"}]}]}])
    check(tmp_path / "a.jsonl", "line 1 holds a message that is not all text")
    table(tmp_path / "a.jsonl", [{"input_ids": [1, -100]}])
    check(tmp_path / "a.jsonl", r"'input_ids': .* line 1 holds list, not text; name a field of text, of messages")
    parts = [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}]
    table(tmp_path / "a.jsonl", [{"messages": parts}] * 12)
    assert {d.text for d in read_all_roles_tolerant(tmp_path / "a.jsonl")} == {"user: ab"}


def test_csv_fields_may_hold_commas_quotes_and_line_ends(tmp_path) -> None:
    texts = [f'{i}, "quoted"\nsecond line, ünïcode' for i in range(12)]
    with (tmp_path / "c.csv").open("w", encoding="utf-8-sig", newline="") as file:
        csv.writer(file).writerows([["text", "n"], *([text, 1] for text in texts)])
    assert sorted(d.text for d in read_all_roles_tolerant(tmp_path / "c.csv")) == sorted(texts)
    (tmp_path / "c.csv").write_text('text,n\na,1\n"b\nb",2,3\n')
    check(tmp_path / "c.csv", r"line 4 ends a row of 3 fields, but the first line names 2; put texts")
    (tmp_path / "c.csv").write_text('text,n\na,1\n"b"b,2\n')
    check(tmp_path / "c.csv", r"line 3 is no valid CSV")
    check(tmp_path / "c.csv", r"'body' is not in .*its fields: 'text', 'n'", text_field="body")


@pytest.fixture
def saved(tmp_path, monkeypatch):
    """Data sets as `datasets` saves them: one table, and two splits."""
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    table = datasets.Dataset.from_list([{"text": text, "n": i} for i, text in enumerate(TEXTS)])
    table.save_to_disk(tmp_path / "one")
    datasets.DatasetDict({"train": table, "test": table.select(range(9))}).save_to_disk(tmp_path / "two")
    return tmp_path


def test_saved_data_sets_are_read(saved) -> None:
    documents = read_all(saved / "one")
    assert sorted(d.text for d in documents) == sorted(TEXTS)
    assert {d.id for d in documents} == {f"one#{i}" for i in range(30)}
    assert {d.id for d in read_all(saved / "two")} == {f"two/train#{i}" for i in range(30)}
    assert read_all(f"hf:{saved / 'two'}") == read_all(saved / "two")
    assert len(read_all_roles_tolerant(saved / "two", split="test")) == 9
    check(saved / "two", r"corpus\.split = 'dev' is not in .*its splits: train, test", split="dev")
    check(saved / "one", r"'body' is not in .*its fields: 'text', 'n'", text_field="body")
    before = open_corpus(CorpusConfig(path=str(saved / "one"))).content_hash()
    state = saved / "one" / "state.json"
    state.write_text(state.read_text().replace("data-00000", "../two/train/data-00000"))
    check(saved / "one", r"no readable saved data set \(state\.json names '\.\./two/train/")
    state.write_text("[]")
    check(saved / "one", r"state\.json holds no object")
    assert open_corpus(CorpusConfig(path=str(saved / "one"))).content_hash() != before


def test_a_text_file_is_cut_at_blank_lines(tmp_path) -> None:
    text = "\n\n".join(f"Paragraph {i}. " + "word " * (i % 90) for i in range(300))
    pieces = list(split_text(text))
    assert "".join(pieces) == text
    assert all(2000 <= len(piece) <= 4_000 and piece.endswith("\n\n") for piece in pieces[:-1])
    (tmp_path / "book.txt").write_text(text)
    documents = read_all(tmp_path / "book.txt")
    assert {document.id for document in documents} == {f"book.txt#{i}" for i in range(len(pieces))}


def test_text_without_blank_lines_or_spaces_is_cut_all_the_same() -> None:
    assert [len(piece) for piece in split_text("ACGT" * 2_500)] == [4_000, 4_000, 2_000]
    assert list(split_text("")) == []


def test_many_text_files_stay_whole(tmp_path) -> None:
    for i in range(60):
        (tmp_path / f"{i:02}.txt").write_text("a line\n\n" * 2000)
    documents = read_all(tmp_path)
    assert [document.id for document in documents] == [f"{i:02}.txt" for i in range(60)]


def test_roles_are_drawn_by_id_and_no_document_has_two(tmp_path) -> None:
    corpus = open_corpus(CorpusConfig(path=str(write(tmp_path / "corpus.json"))))
    by_role = {role: list(corpus.iter_documents(role)) for role in ROLES}
    assert sum(len(documents) for documents in by_role.values()) == 30
    assert all(role_of(d.id, corpus.shares) == role for role, documents in by_role.items() for d in documents)


def test_order_is_fixed_mixed_and_changes_by_epoch(tmp_path) -> None:
    corpus = open_corpus(CorpusConfig(path=str(write(tmp_path / "corpus.json"))))
    ids = [[d.id for d in corpus.iter_documents("dictionary", epoch=epoch)] for epoch in (0, 0, 1)]
    assert ids[0] == ids[1] != ids[2] and sorted(ids[0]) == sorted(ids[2]) and ids[0] != sorted(ids[0])


def test_memory_is_bounded_by_blocks(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("autointerp.subject.corpus.BLOCK_CHARACTERS", 100)
    assert len(read_all(write(tmp_path / "corpus.json"))) == 30


def test_empty_documents_are_skipped_and_counted(tmp_path) -> None:
    (tmp_path / "c.json").write_text(json.dumps([*TEXTS, "", " \n", None]))
    corpus = open_corpus(CorpusConfig(path=str(tmp_path / "c.json")))
    assert all(d.text.strip() for d in corpus.iter_documents("dictionary"))
    assert corpus.n_empty == 3


def test_lone_surrogates_become_replacement_characters(tmp_path) -> None:
    (tmp_path / "c.json").write_text('["' + "\\ud800 half, whole \\ud83d\\ude00" + '"]' * 1)
    texts = [d.text for d in read_all_roles_tolerant(tmp_path / "c.json")]
    assert texts == ["\ufffd half, whole 😀"]


def read_all_roles_tolerant(path: Path, **options) -> list[Document]:
    """As `read_all`, for a corpus too small to fill every role."""
    corpus = open_corpus(CorpusConfig(path=str(path), **options))
    found: list[Document] = []
    for role in ROLES:
        try:
            found += corpus.iter_documents(role)
        except InputError as error:
            assert f"none falls to the role '{role}'" in str(error)
    return found


def test_content_hash_depends_on_content_not_place(tmp_path) -> None:
    hashes = []
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder / "corpus.jsonl")
        hashes.append(open_corpus(CorpusConfig(path=str(tmp_path / folder))).content_hash())
    assert hashes[0] == hashes[1]
    with (tmp_path / "two" / "corpus.jsonl").open("a") as file:
        file.write('\n{"text": "more"}')
    assert open_corpus(CorpusConfig(path=str(tmp_path / "two"))).content_hash() != hashes[0]


def test_builtin_documents_are_offered() -> None:
    corpus = open_corpus(CorpusConfig())
    assert corpus.shares["subject"] > 0 and corpus.name == "builtin"
    first = next(iter(corpus.iter_documents("score")))
    assert first.text.strip() and not first.id.startswith("/")


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_hub_data_sets_stream_through_datasets(suffix, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "stories"
    folder.mkdir()
    write(folder / f"train{suffix}")
    documents = read_all(f"hf:{folder}")
    assert sorted(document.text for document in documents) == sorted(TEXTS)
    assert {document.id for document in documents} == {f"stories/train#{i}" for i in range(30)}
    with pytest.raises(InputError, match=r"'nope'.*not in data set.*'text', 'n'"):
        read_all(f"hf:{folder}", text_field="nope")
    with pytest.raises(InputError, match=r"split test.*corpus\.split"):
        read_all(f"hf:{folder}", split="test")
    first = open_corpus(CorpusConfig(path=f"hf:{folder}")).content_hash()
    (folder / f"train{suffix}").write_bytes((folder / f"train{suffix}").read_bytes()[:-1])
    assert open_corpus(CorpusConfig(path=f"hf:{folder}")).content_hash() != first


def check(path: Path, message: str, **options) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read_all(path, **options)
    assert "\n" not in str(caught.value)


def test_missing_unknown_and_empty_sources_are_named(tmp_path) -> None:
    check(tmp_path / "absent.txt", r"absent\.txt' does not exist")
    check(write(tmp_path / "book.docx"), r"unknown kind \('\.docx'\); use \.txt")
    (tmp_path / "folder").mkdir()
    check(tmp_path / "folder", "holds no .txt, .json")
    (tmp_path / "empty.txt").write_text("")
    check(tmp_path / "empty.txt", "holds no text")
    (tmp_path / "empty.json").write_text('["", " "]')
    check(tmp_path / "empty.json", r"holds no text \(2 empty documents\)")
    (tmp_path / "one.json").write_text('["only one"]')
    check(tmp_path / "one.json", r"holds 1 document\(s\) and none falls to the role")


@pytest.mark.parametrize("suffix", [".json", ".jsonl", ".parquet"])
def test_a_missing_field_lists_those_present(suffix, tmp_path) -> None:
    path = write(tmp_path / f"c{suffix}")
    if suffix == ".json":
        path.write_text(json.dumps([{"text": "a", "n": 1}]))
    check(path, r"corpus\.text_field = 'body' is not in .*its fields: 'text', 'n'", text_field="body")
    check(path, r"holds int, not text", text_field="n")


def test_damage_is_located(tmp_path) -> None:
    (tmp_path / "a.json").write_text('["fine",\n "broken]')
    check(tmp_path / "a.json", "no valid JSON at line 2")
    (tmp_path / "a.json").write_text('{"text": "a"}\n{"text": "b"}\n')
    check(tmp_path / "a.json", r"at line 2, column 1 \(Extra data\); name it \.jsonl if it holds JSON lines")
    (tmp_path / "a.json").write_text('"a string"')
    check(tmp_path / "a.json", "holds a single str; give a list")
    (tmp_path / "b.jsonl").write_text('{"text": "fine"}\n\n{"text": \n')
    check(tmp_path / "b.jsonl", "line 3 is no valid JSON")
    for name in ("b.jsonl", "a.json"):
        (tmp_path / name).write_text("[" * 200_000)
        check(tmp_path / name, r"nested too deeply; give a flat list of texts")
        (tmp_path / name).write_text('{"text": "a", "n": ' + "1" * 5_000 + "}")
        check(tmp_path / name, "holds a number that cannot be read")
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(b'"text"\n' * 99)[:-9])
    check(tmp_path / "b.jsonl.gz", r"b\.jsonl\.gz' cannot be read")
    (tmp_path / "c.txt").write_bytes(b"fine\n\xe9t\xe9")
    check(tmp_path / "c.txt", r"not UTF-8 \(byte 0xe9 at position 5\).*iconv")
    whole = write(tmp_path / "d.parquet").read_bytes()
    (tmp_path / "d.parquet").write_bytes(whole[: len(whole) // 2])
    check(tmp_path / "d.parquet", "no readable parquet file")
    whole = write(tmp_path / "e.zip").read_bytes()
    (tmp_path / "e.zip").write_bytes(whole[: len(whole) // 2])
    check(tmp_path / "e.zip", "no readable zip file")
    (tmp_path / "e.zip").write_bytes(whole[:60] + bytes(byte ^ 0xFF for byte in whole[60:90]) + whole[90:])
    check(tmp_path / "e.zip", "member 'data/a.json' cannot be read")


def test_what_unpacks_to_too_much_is_refused_before_it_is_held(tmp_path) -> None:
    """A kilobyte of gzip holds a megabyte; the bound is on what comes out."""
    line = json.dumps({"text": "a" * 1_100_000})
    named = r"corpus\.max_file_mb = 1: .* holds more; raise it, or cut the file"
    for name, content in (
        ("a.jsonl", line),
        ("a.json", f"[{line}]"),
        ("a.txt", "a" * 1_100_000),
        ("a.csv", f"text\n{line}"),
    ):
        packed = tmp_path / f"{name}.gz"
        packed.write_bytes(gzip.compress(content.encode()))
        assert packed.stat().st_size < 5_000
        check(packed, named, max_file_mb=1)
        (tmp_path / name).write_text(content)
        check(tmp_path / name, named, max_file_mb=1)
        assert len(read_all_roles_tolerant(packed, max_file_mb=2)) >= 1
    with zipfile.ZipFile(tmp_path / "b.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for i in range(4):
            archive.writestr(f"{i}.txt", "a" * 300_000)
    check(tmp_path / "b.zip", named, max_file_mb=1)
    with pytest.raises(InputError, match=named):
        open_corpus(CorpusConfig(path=str(tmp_path / "b.zip"), max_file_mb=1)).content_hash()
    parquet.write_table(pa.table({"text": ["a" * 100_000] * 64}), tmp_path / "c.parquet")
    assert (tmp_path / "c.parquet").stat().st_size < 200_000
    check(tmp_path / "c.parquet", named, max_file_mb=1)


def test_many_short_lines_may_be_more_than_a_file_that_is_held(tmp_path) -> None:
    (tmp_path / "a.jsonl").write_text(
        '{"text": "' + "a" * 100_000 + '"}\n' * 1 + ('{"text": "' + "b" * 100_000 + '"}\n') * 14
    )
    assert len(read_all_roles_tolerant(tmp_path / "a.jsonl", max_file_mb=1)) == 15


def test_a_link_out_of_the_corpus_is_refused(tmp_path) -> None:
    (tmp_path / "private.txt").write_text("secret")
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    write(corpus / "a.json")
    (corpus / "b.txt").symlink_to(tmp_path / "private.txt")
    for path in (corpus, f"hf:{corpus}"):
        with pytest.raises(InputError, match=r"b\.txt' is a link that leads out of the corpus, to '.*private\.txt'"):
            open_corpus(CorpusConfig(path=str(path))).content_hash()
    check(corpus, "leads out of the corpus")
    (corpus / "b.txt").unlink()
    (corpus / "folder").symlink_to(tmp_path)
    check(corpus, r"folder' is a link that leads out")
    (corpus / "folder").unlink()
    (corpus / "c.json").symlink_to("a.json")
    (corpus / ".venv").symlink_to(tmp_path)
    (corpus / "program").symlink_to("/bin/sh")
    assert len(read_all(corpus)) == 60, "links within it are read, what is no text is passed over"
    whole = tmp_path / "link"
    whole.symlink_to(corpus)
    assert len(read_all(whole)) == 60


def test_a_snapshot_in_the_hubs_cache_links_to_its_own_blobs(tmp_path) -> None:
    snapshot = tmp_path / "datasets--x--y" / "snapshots" / "1234" / "data"
    snapshot.mkdir(parents=True)
    (tmp_path / "datasets--x--y" / "blobs").mkdir()
    blob = write(tmp_path / "datasets--x--y" / "blobs" / "a.json")
    (snapshot / "a.json").symlink_to(os.path.relpath(blob, snapshot))
    assert len(read_all(snapshot.parent)) == len(read_all(snapshot)) == 30
    (tmp_path / "out.json").write_text("[]")
    (snapshot / "b.json").symlink_to(tmp_path / "out.json")
    check(snapshot, "leads out of the corpus")


def test_a_pipe_or_a_device_is_refused_without_reading(tmp_path) -> None:
    write(tmp_path / "a.json")
    os.mkfifo(tmp_path / "b.txt")
    for path in (tmp_path, tmp_path / "b.txt", "/dev/zero"):
        check(path, r"is no regular file; take it away")


@pytest.mark.real
def test_real_files_are_read(real_data) -> None:
    assert len(read_all(real_data / "text" / "tinystories_1000.json")) == 1000
    assert len(read_all(real_data / "text" / "udhr2.zip")) > 380
    assert len(read_all(real_data / "text" / "dna_NC_000932.txt")) == 39
    assert sum(len(d.text) for d in read_all(real_data / "text" / "tinyshakespeare.txt")) > 1_000_000
    check(real_data / "text" / "state_union.zip", "not UTF-8")


def test_an_unreachable_hub_is_named(monkeypatch) -> None:
    import huggingface_hub

    def refuse(*args, **kwargs):
        raise network_errors()[0]("name resolution failed")

    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", refuse)
    check(Path("hf:nobody/no-such-data"), r"'hf:nobody/no-such-data'.*hub could not be reached; give a local file")
