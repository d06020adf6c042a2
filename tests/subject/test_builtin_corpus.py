"""The builtin corpus: unique ids, equal twice, every script and kind in every role, no text in two roles."""

from __future__ import annotations

import base64
import re
import unicodedata
from collections import defaultdict
from itertools import islice
from pathlib import Path

import pytest

from autointerp.errors import InputError
from autointerp.records.document import Document, role_of
from autointerp.subject.builtin.corpus import (
    BUILTIN_SHARES,
    PARTS,
    builtin_corpus_hash,
    builtin_corpus_statistics,
    iter_builtin_documents,
    part_of,
)
from autointerp.subject.builtin.generated import GENERATED_KINDS, iter_generated_documents
from autointerp.subject.builtin.locales import FAVOURED, iter_locale_documents
from autointerp.subject.builtin.stdlib_text import iter_stdlib_documents


@pytest.fixture(scope="module")
def documents() -> list[Document]:
    return list(iter_builtin_documents())


def test_ids_are_unique_and_parts_known(documents: list[Document]) -> None:
    assert len({document.id for document in documents}) == len(documents)
    assert {part_of(document) for document in documents} == set(PARTS)
    assert all(document.text.strip() for document in documents)


def test_shares_sum_to_one_and_every_part_serves_every_role(documents: list[Document]) -> None:
    assert sum(BUILTIN_SHARES.values()) == pytest.approx(1.0)
    statistics = builtin_corpus_statistics(documents)
    assert statistics.n_documents == len(documents)
    assert sum(statistics.n_bytes_by_part.values()) == statistics.n_bytes
    for part in PARTS:
        assert all(n_bytes > 10_000 for n_bytes in statistics.n_bytes_by_part_and_role[part].values())
    assert statistics.n_bytes_by_part["stdlib"] > 5_000_000
    assert statistics.corpus_hash == builtin_corpus_hash(documents)


def test_favoured_scripts_and_all_kinds_are_in_every_role(documents: list[Document]) -> None:
    roles = defaultdict(set)
    for document in documents:
        roles[document.source].add(role_of(document.id, BUILTIN_SHARES))
    for source in [f"cldr/{name}" for name in FAVOURED] + [f"generated/{kind}" for kind in GENERATED_KINDS]:
        assert roles[source] == set(BUILTIN_SHARES), source


def test_few_texts_stand_in_two_roles(documents: list[Document]) -> None:
    roles = defaultdict(set)
    for document in documents:
        roles[document.text].add(role_of(document.id, BUILTIN_SHARES))
    shared = [text for text, of_text in roles.items() if len(of_text) > 1]
    assert not shared


def test_hash_changes_with_any_text() -> None:
    first = [Document("a", "stdlib", "x"), Document("b", "stdlib", "y")]
    assert builtin_corpus_hash(first) != builtin_corpus_hash([first[0], Document("b", "stdlib", "z")])
    assert builtin_corpus_hash(first) != builtin_corpus_hash([Document("ax", "stdlib", ""), first[1]])


@pytest.mark.parametrize(("name", "script"), [("ar", "ARABIC"), ("he", "HEBREW"), ("ru", "CYRILLIC"), ("th", "THAI")])
def test_locale_text_is_in_its_script(name: str, script: str) -> None:
    letters = [c for document in iter_locale_documents([name]) for c in document.text if c.isalpha()]
    in_script = sum(unicodedata.name(c, "").startswith(script) for c in letters)
    assert in_script / len(letters) > 0.9


def test_locale_and_generated_documents_are_the_same_twice() -> None:
    assert list(iter_locale_documents(["el", "zh"])) == list(iter_locale_documents(["el", "zh"]))
    assert list(iter_generated_documents(3)) == list(iter_generated_documents(3))
    ids = [document.id for document in islice(iter_generated_documents(2), 3)]
    assert ids == ["generated/base64/000", "generated/base64/001", "generated/hex/000"]


def test_generated_kinds_are_what_they_say() -> None:
    texts = {document.id: document.text for document in iter_generated_documents(4)}
    for line in texts["generated/base64/000"].split():
        base64.b64decode(line, validate=True)
    assert re.fullmatch(r"[0-9a-fA-F \n]+", texts["generated/hex/000"])
    assert re.fullmatch(r"[ACGT\n]+", texts["generated/dna/002"])
    assert all(line.startswith("http") for line in texts["generated/urls/000"].split())
    assert re.search(r"[a-z]+ [ACGT]{8,} [a-z]+", texts["generated/dna/001"])


def test_stdlib_leaves_out_what_is_not_its_text(tmp_path: Path) -> None:
    body = "x = 1\n" * 60
    wanted = ["json/decoder.py", "os.py"]
    unwanted = ["test/test_os.py", "site-packages/numpy/core.py", "_sysconfigdata__linux.py", "sitecustomize.py"]
    for name in [*wanted, *unwanted, "notes.txt"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(body)
    (tmp_path / "short.py").write_text("x")
    (tmp_path / "latin.py").write_bytes(b"# \xe9" + body.encode())
    assert [document.id for document in iter_stdlib_documents(tmp_path)] == [f"stdlib/{name}" for name in wanted]


def test_stdlib_without_sources_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=str(tmp_path)):
        list(iter_stdlib_documents(tmp_path))
