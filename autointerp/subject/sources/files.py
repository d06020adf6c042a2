"""Local text: a .txt, .json, .jsonl, .parquet or .zip file, or a directory of those, as documents.

Ids are relative to the path given (never absolute), so they and the roles drawn from them are equal on every
machine. Gives documents in the order of their file names and rows; does not know roles or tokens.
"""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from io import BufferedIOBase
from pathlib import Path, PurePosixPath
from typing import cast

from autointerp.errors import InputError
from autointerp.records.document import Document
from autointerp.subject.sources.records import iter_json_texts, iter_jsonl_texts, iter_parquet_texts
from autointerp.subject.sources.text import decode_text, split_text

__all__ = ["SUFFIXES", "hash_files", "iter_file_documents", "locate_files"]

SUFFIXES = (".txt", ".json", ".jsonl", ".parquet")

WHOLE_TEXT_FILES = 50
"""From so many .txt files on each is one document; fewer are cut into pieces, or the roles could not be filled."""


@dataclass(frozen=True, slots=True)
class _File:
    """One readable file: the id it gives its documents, where it is for an error, and how to open it."""

    id: str
    place: str
    open: Callable[[], AbstractContextManager[BufferedIOBase]]

    @property
    def suffix(self) -> str:
        return PurePosixPath(self.id).suffix.lower()


def locate_files(path: str) -> Path:
    """The file or directory; raises InputError where it is missing or of an unknown kind."""
    found = Path(path).expanduser()
    if not found.exists():
        raise InputError(f"corpus.path = '{path}' does not exist; give a file, a directory, 'builtin' or 'hf:NAME'")
    if found.is_file() and found.suffix.lower() not in (*SUFFIXES, ".zip"):
        raise InputError(
            f"corpus.path = '{path}' is of an unknown kind ('{found.suffix}'); use {', '.join(SUFFIXES)}, .zip, or a "
            "directory of those"
        )
    return found


def iter_file_documents(path: Path, *, text_field: str) -> Iterator[Document]:
    """Every document under `path`, empty ones included.

    A .txt file is cut at blank lines into documents of a few thousand characters when there are fewer than 50 of
    them, else each is one document. Raises InputError naming the file (and line) that is damaged.
    """
    files = _list_files(path)
    if not files:
        raise InputError(f"corpus.path = '{path}' holds no {', '.join(SUFFIXES)} file; give files with text in them")
    is_cut = sum(file.suffix == ".txt" for file in files) < WHOLE_TEXT_FILES
    for file in files:
        for number, text in enumerate(_texts(file, text_field, is_cut)):
            is_whole = file.suffix == ".txt" and not is_cut
            yield Document(file.id if is_whole else f"{file.id}#{number}", source=file.id, text=text)


def hash_files(path: Path, *, text_field: str) -> str:
    """Hash of the ids and bytes of every file read, and of the field that is taken from them."""
    digest = hashlib.blake2b(text_field.encode(), digest_size=16)
    for file in _list_files(path):
        content = hashlib.blake2b(digest_size=16)
        with _opened(file) as stream:
            while chunk := stream.read(1 << 20):
                content.update(chunk)
        digest.update(f"\x1f{file.id}\x1f{content.hexdigest()}".encode())
    return digest.hexdigest()


def _texts(file: _File, text_field: str, is_cut: bool) -> Iterator[str]:
    with _opened(file) as stream:
        if file.suffix == ".txt":
            text = decode_text(stream.read(), place=file.place)
            yield from split_text(text) if is_cut else [text]
        else:
            read = {".json": iter_json_texts, ".jsonl": iter_jsonl_texts, ".parquet": iter_parquet_texts}[file.suffix]
            yield from read(stream, place=file.place, text_field=text_field)


@contextmanager
def _opened(file: _File) -> Iterator[BufferedIOBase]:
    try:
        with file.open() as stream:
            yield stream
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise InputError(f"corpus.path: {file.place} cannot be read ({error}); copy or download it again") from error


def _list_files(path: Path) -> list[_File]:
    if path.is_file() and path.suffix.lower() == ".zip":
        return _list_zip(path, prefix="")
    if path.is_file():
        return [_File(path.name, f"'{path}'", partial(path.open, "rb"))]
    files: list[_File] = []
    for member in sorted(path.rglob("*"), key=lambda p: p.relative_to(path).parts):
        relative = member.relative_to(path)
        if not member.is_file() or any(part.startswith(".") for part in relative.parts):
            continue
        if member.suffix.lower() == ".zip":
            files += _list_zip(member, prefix=f"{relative.as_posix()}/")
        elif member.suffix.lower() in SUFFIXES:
            files.append(_File(relative.as_posix(), f"'{member}'", partial(member.open, "rb")))
    return files


def _list_zip(path: Path, *, prefix: str) -> list[_File]:
    try:
        with zipfile.ZipFile(path) as archive:
            names = sorted(name for name in archive.namelist() if _is_text_member(name))
    except (zipfile.BadZipFile, OSError) as error:
        raise InputError(f"corpus.path: '{path}' is no readable zip file ({error}); copy it again") from error
    return [_File(prefix + name, f"'{path}', member '{name}'", partial(_zip_member, path, name)) for name in names]


def _is_text_member(name: str) -> bool:
    parts = PurePosixPath(name).parts
    hidden = any(part.startswith((".", "__MACOSX")) for part in parts)
    return not name.endswith("/") and not hidden and PurePosixPath(name).suffix.lower() in SUFFIXES


@contextmanager
def _zip_member(path: Path, name: str) -> Iterator[BufferedIOBase]:
    with zipfile.ZipFile(path) as archive, archive.open(name) as stream:
        yield cast(BufferedIOBase, stream)
