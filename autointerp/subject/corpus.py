"""The corpus of a run: its documents by role, in a fixed order, with provenance and a content hash."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from autointerp.config.tree import CorpusConfig
from autointerp.errors import InputError
from autointerp.records.document import DEFAULT_SHARES, Document, Role, role_of
from autointerp.seeds import derive
from autointerp.subject.builtin.corpus import BUILTIN_SHARES, builtin_corpus_hash, iter_builtin_documents
from autointerp.subject.near_copies import NearCopies
from autointerp.subject.sources.files import hash_files, iter_file_documents, locate_files
from autointerp.subject.sources.hub import hash_hub, iter_hub_documents
from autointerp.subject.sources.saved import is_saved_dataset, iter_saved_documents

__all__ = ["IN_MEMORY", "Corpus", "open_corpus"]

HUB_PREFIX = "hf:"
# what the name of a model or a corpus begins with that was handed over in Python
IN_MEMORY = "memory:"
# text of a role shuffled together: all of a small corpus, a block of a large one, so that memory stays bounded
BLOCK_CHARACTERS = 1 << 26

# the same for a streamed data set, whose first block has to be downloaded before anything can start
HUB_BLOCK_CHARACTERS = 1 << 22


@dataclass(slots=True)
class Corpus:
    """Documents with their roles; every pass reads the source anew."""

    name: str
    shares: dict[Role, float]
    # where the text comes from, for the manifest
    provenance: dict[str, str]
    read: Callable[[], Iterator[Document]] = field(repr=False)
    hash_source: Callable[[], str] = field(repr=False)
    block_characters: int | None = None
    # counted in the last complete pass
    n_empty: int = 0
    n_copies: int = 0
    # places of near copies among the documents with text, once the source was read to its end
    _copies: frozenset[int] | None = field(default=None, repr=False)

    def iter_documents(self, role: Role, *, epoch: int = 0) -> Iterator[Document]:
        """The role's documents, without empty ones and near copies, in an order drawn from the hashes of their ids and
        `epoch`.

        The order does not depend on the seed, and a prefix of it holds every part of the corpus in proportion. Raises
        InputError for a damaged corpus, or one without text for this role.
        """
        n_documents = n_with_role = n_characters = n_empty = 0
        near, copies = NearCopies(), set[int]()
        block: list[Document] = []
        block_characters = self.block_characters or BLOCK_CHARACTERS
        for document in self.read():
            if document.is_empty:
                n_empty += 1
                continue
            n_documents += 1
            if near.is_copy(document) if self._copies is None else n_documents in self._copies:
                copies.add(n_documents)
                continue
            if role_of(document.id, self.shares) != role:
                continue
            n_with_role += 1
            block.append(document)
            n_characters += document.n_characters
            if n_characters >= block_characters:
                yield from _ordered(block, epoch)
                block, n_characters = [], 0
        self.n_empty, self.n_copies, self._copies = n_empty, len(copies), frozenset(copies)
        yield from _ordered(block, epoch)
        if n_with_role == 0:
            self._raise_empty(role, n_documents, n_empty)

    def content_hash(self) -> str:
        """Hash of all ids and texts (builtin), of all files' bytes (local), or of the data set's name, subset, split
        and commit (hub, which is streamed).
        """
        return self.hash_source()

    def _raise_empty(self, role: Role, n_documents: int, n_empty: int) -> None:
        if n_documents == 0:
            raise InputError(
                f"corpus.path = '{self.name}' holds no text ({n_empty} empty documents); give files with text in them"
            )
        raise InputError(
            f"corpus.path = '{self.name}' holds {n_documents} document(s) and none falls to the role '{role}' "
            f"(share {self.shares.get(role, 0.0):.0%}, drawn by hash of the id); give more documents"
        )


def open_corpus(config: CorpusConfig) -> Corpus:
    """The corpus that `config.path` names: `builtin`, a file, a directory, a saved data set, or `hf:NAME`.

    Raises InputError for a missing path or an unknown kind of file; damaged text is reported when it is read.
    """
    if config.path == "builtin":
        return Corpus("builtin", dict(BUILTIN_SHARES), {"kind": "builtin"}, iter_builtin_documents, builtin_corpus_hash)
    if config.path.startswith(IN_MEMORY):
        raise InputError(
            f"corpus.path = '{config.path}' lives in memory only, so this run goes on from Python: call "
            "autointerp.evaluate again with the texts"
        )
    if config.path.startswith(HUB_PREFIX):
        name = config.path.removeprefix(HUB_PREFIX)
        if is_saved_dataset(Path(name).expanduser()):
            return _open_saved(config, Path(name).expanduser())
        options = {"subset": config.subset, "split": config.split, "text_field": config.text_field}
        return Corpus(
            config.path,
            dict(DEFAULT_SHARES),
            {"kind": "hub", "name": name} | {key: value for key, value in options.items() if value is not None},
            lambda: iter_hub_documents(name, subset=config.subset, split=config.split, text_field=config.text_field),
            lambda: hash_hub(name, subset=config.subset, split=config.split, text_field=config.text_field),
            HUB_BLOCK_CHARACTERS,
        )
    return _open_files(config)


def _open_files(config: CorpusConfig) -> Corpus:
    path = locate_files(config.path)
    if is_saved_dataset(path):
        return _open_saved(config, path)
    return Corpus(
        config.path,
        dict(DEFAULT_SHARES),
        {"kind": "files", "name": path.name, "text_field": config.text_field},
        lambda: iter_file_documents(path, text_field=config.text_field, max_mb=config.max_file_mb),
        lambda: hash_files(path, text_field=config.text_field, max_mb=config.max_file_mb),
    )


def _open_saved(config: CorpusConfig, path: Path) -> Corpus:
    return Corpus(
        config.path,
        dict(DEFAULT_SHARES),
        {"kind": "saved data set", "name": path.name, "split": config.split, "text_field": config.text_field},
        lambda: iter_saved_documents(path, split=config.split, text_field=config.text_field),
        lambda: hash_hub(str(path), subset=None, split=config.split, text_field=config.text_field),
    )


def _ordered(block: list[Document], epoch: int) -> list[Document]:
    return sorted(block, key=lambda document: (derive(epoch, "order", document.id), document.id))
