"""The builtin corpus: standard-library text, CLDR text in many scripts, generated base64, hex, DNA, dates, URLs.

Made at run time from what every installation has, so no text of others is shipped. Deterministic for a given
Python and Babel. Gives documents and their roles.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache

from autointerp.records.document import Document, Role, role_of
from autointerp.subject.builtin.generated import iter_generated_documents
from autointerp.subject.builtin.locales import iter_locale_documents
from autointerp.subject.builtin.stdlib_text import iter_stdlib_documents

__all__ = [
    "BUILTIN_SHARES",
    "PARTS",
    "CorpusStatistics",
    "builtin_corpus_hash",
    "builtin_corpus_statistics",
    "iter_builtin_documents",
    "part_of",
]

BUILTIN_SHARES: dict[Role, float] = {"subject": 0.6, "dictionary": 0.2, "explain": 0.1, "score": 0.1}
PARTS = ("stdlib", "cldr", "generated")


def iter_builtin_documents() -> Iterator[Document]:
    """Every document of the builtin corpus, in a fixed order: about 9 MB of standard library, 3 MB of the rest.

    `role_of(document.id, BUILTIN_SHARES)` gives a document's role; a source file is one document, never cut, so
    all of it has one role. Raises InputError where the Python has no sources.
    """
    return iter(_documents())


@cache
def _documents() -> tuple[Document, ...]:
    # made once: a run reads its corpus a dozen times, and making it takes two seconds
    return (*iter_stdlib_documents(), *iter_locale_documents(), *iter_generated_documents())


def part_of(document: Document) -> str:
    """The corpus part a document belongs to: `stdlib`, `cldr` or `generated`."""
    return document.source.split("/", 1)[0]


@dataclass(slots=True)
class CorpusStatistics:
    """Counts of documents and UTF-8 bytes, by part and by role."""

    n_documents: int = 0
    n_bytes: int = 0
    n_documents_by_part: dict[str, int] = field(default_factory=dict)
    n_bytes_by_part: dict[str, int] = field(default_factory=dict)
    n_bytes_by_part_and_role: dict[str, dict[str, int]] = field(default_factory=dict)
    corpus_hash: str = ""


def builtin_corpus_statistics(documents: Iterable[Document] | None = None) -> CorpusStatistics:
    """What the corpus holds on this machine, in one pass over it."""
    statistics, digest = CorpusStatistics(), hashlib.blake2b(digest_size=16)
    for document in iter_builtin_documents() if documents is None else documents:
        part, n_bytes = part_of(document), len(document.text.encode())
        statistics.n_documents += 1
        statistics.n_bytes += n_bytes
        statistics.n_documents_by_part[part] = statistics.n_documents_by_part.get(part, 0) + 1
        statistics.n_bytes_by_part[part] = statistics.n_bytes_by_part.get(part, 0) + n_bytes
        by_role = statistics.n_bytes_by_part_and_role.setdefault(part, dict.fromkeys(BUILTIN_SHARES, 0))
        by_role[role_of(document.id, BUILTIN_SHARES)] += n_bytes
        _digest_document(digest, document)
    statistics.corpus_hash = digest.hexdigest()
    return statistics


def builtin_corpus_hash(documents: Iterable[Document] | None = None) -> str:
    """A hash of all ids and texts: equal on two machines exactly when their builtin corpora are equal."""
    digest = hashlib.blake2b(digest_size=16)
    for document in iter_builtin_documents() if documents is None else documents:
        _digest_document(digest, document)
    return digest.hexdigest()


def _digest_document(digest: hashlib.blake2b, document: Document) -> None:
    for text in (document.id, document.text):
        raw = text.encode()
        digest.update(len(raw).to_bytes(8, "little") + raw)
