"""Local text: .txt, .json, .jsonl, .csv and .parquet files, packed as .gz or .zip or not, or a directory of those.

Ids are relative to the path given (never absolute), so they and the roles drawn from them are equal on every
machine. Gives documents in the order of their file names and rows.
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
from autointerp.subject.sources.folders import list_folder, refuse_special
from autointerp.subject.sources.records import iter_csv_rows, iter_json_rows, iter_jsonl_rows, iter_parquet_rows
from autointerp.subject.sources.rows import Content
from autointerp.subject.sources.streams import MB, TextStream, too_large, unpacked
from autointerp.subject.sources.text import decode_text, split_text

__all__ = ["SUFFIXES", "hash_files", "iter_file_documents", "locate_files"]

SUFFIXES = (".txt", ".json", ".jsonl", ".csv", ".parquet")
READERS = {
    ".json": iter_json_rows,
    ".jsonl": iter_jsonl_rows,
    ".csv": iter_csv_rows,
    ".parquet": iter_parquet_rows,
}
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
        kind = _kind(self.id)
        assert kind is not None
        return kind


def locate_files(path: str) -> Path:
    """The file or directory; raises InputError where it is missing or of an unknown kind."""
    found = Path(path).expanduser()
    if not found.exists():
        raise InputError(f"corpus.path = '{path}' does not exist; give a file, a directory, 'builtin' or 'hf:NAME'")
    if found.is_dir():
        return found
    refuse_special(found)
    if _kind(found.name) is None and found.suffix.lower() != ".zip":
        raise InputError(
            f"corpus.path = '{path}' is of an unknown kind ('{found.suffix}'); use {', '.join(SUFFIXES)} (but for the "
            "last also as .gz), .zip, or a directory of those"
        )
    return found


def iter_file_documents(path: Path, *, text_field: str, max_mb: int) -> Iterator[Document]:
    """Every document under `path`, empty ones included.

    A .txt file is cut at blank lines into documents of a few thousand characters when there are fewer than 50 of
    them, else each is one document. Raises InputError naming the file (and line) that is damaged, and for one that
    holds more than `max_mb` (see `sources.streams`).
    """
    files = _list_files(path, max_mb)
    if not files:
        raise InputError(f"corpus.path = '{path}' holds no {', '.join(SUFFIXES)} file; give files with text in them")
    is_cut = sum(file.suffix == ".txt" for file in files) < WHOLE_TEXT_FILES
    for file in files:
        for number, content in enumerate(_contents(file, text_field, is_cut, max_mb)):
            is_whole = file.suffix == ".txt" and not is_cut
            yield Document(file.id if is_whole else f"{file.id}#{number}", file.id, *content)


def hash_files(path: Path, *, text_field: str, max_mb: int) -> str:
    """Hash of the ids and bytes of every file read, and of the field that is taken from them."""
    digest = hashlib.blake2b(text_field.encode(), digest_size=16)
    for file in _list_files(path, max_mb):
        content = hashlib.blake2b(digest_size=16)
        with _opened(file, max_mb) as opened:
            for chunk in opened.chunks():
                content.update(chunk)
        digest.update(f"\x1f{file.id}\x1f{content.hexdigest()}".encode())
    return digest.hexdigest()


def _contents(file: _File, text_field: str, is_cut: bool, max_mb: int) -> Iterator[Content]:
    with _opened(file, max_mb) as opened:
        if file.suffix == ".txt":
            text = decode_text(opened.whole(), place=file.place)
            yield from map(Content, split_text(text) if is_cut else [text])
        else:
            yield from READERS[file.suffix](opened, text_field=text_field)


@contextmanager
def _opened(file: _File, max_mb: int) -> Iterator[TextStream]:
    try:
        with file.open() as stream:
            yield unpacked(stream, name=file.id, place=file.place, max_mb=max_mb)
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise InputError(f"corpus.path: {file.place} cannot be read ({error}); copy or download it again") from error


def _list_files(path: Path, max_mb: int) -> list[_File]:
    if path.is_file() and path.suffix.lower() == ".zip":
        return _list_zip(path, prefix="", max_mb=max_mb)
    if path.is_file():
        return [_File(path.name, f"'{path}'", partial(path.open, "rb"))]
    files: list[_File] = []
    for member in list_folder(path, is_read=_is_member):
        name = member.relative_to(path).as_posix()
        if member.suffix.lower() == ".zip":
            files += _list_zip(member, prefix=f"{name}/", max_mb=max_mb)
        else:
            files.append(_File(name, f"'{member}'", partial(member.open, "rb")))
    return files


def _is_member(relative: Path) -> bool:
    is_hidden = any(part.startswith(".") for part in relative.parts)
    return not is_hidden and (relative.suffix.lower() == ".zip" or _kind(relative.name) is not None)


def _list_zip(path: Path, *, prefix: str, max_mb: int) -> list[_File]:
    try:
        with zipfile.ZipFile(path) as archive:
            members = [member for member in archive.infolist() if _is_text_member(member.filename)]
    except (zipfile.BadZipFile, OSError) as error:
        raise InputError(f"corpus.path: '{path}' is no readable zip file ({error}); copy it again") from error
    # no member gives more than the size stated for it
    if sum(member.file_size for member in members) > max_mb * MB:
        raise too_large(f"'{path}', unpacked,", max_mb)
    names = sorted(member.filename for member in members)
    return [_File(prefix + name, f"'{path}', member '{name}'", partial(_zip_member, path, name)) for name in names]


def _is_text_member(name: str) -> bool:
    hidden = any(part.startswith((".", "__MACOSX")) for part in PurePosixPath(name).parts)
    return not name.endswith("/") and not hidden and _kind(name) is not None


def _kind(name: str) -> str | None:
    """The suffix that says how a file is read, that of what it holds where it is a .gz file; None for no text."""
    suffixes = [suffix.lower() for suffix in PurePosixPath(name).suffixes[-2:]]
    is_packed = len(suffixes) == 2 and suffixes[-1] == ".gz" and suffixes[0] != ".parquet"
    kind = suffixes[0] if is_packed else suffixes[-1] if suffixes else None
    return kind if kind in SUFFIXES else None


@contextmanager
def _zip_member(path: Path, name: str) -> Iterator[BufferedIOBase]:
    with zipfile.ZipFile(path) as archive, archive.open(name) as stream:
        yield cast(BufferedIOBase, stream)
