"""An open file of a corpus, unpacked where it is packed, and never more of it than `corpus.max_file_mb` says.

A few kilobytes may unpack to as many gigabytes; so what comes out is counted, and what must be held at once (a whole
.txt or .json, one line of a .jsonl or .csv) has the same bound.
"""

from __future__ import annotations

import gzip
import io
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from autointerp.errors import InputError
from autointerp.subject.sources.text import decode_text

__all__ = ["MB", "TextStream", "too_large", "unpacked"]

MB = 1_000_000
CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class TextStream:
    """The bytes of one file. `place` names it in an error."""

    stream: io.BufferedIOBase
    place: str
    max_mb: int

    @property
    def max_bytes(self) -> int:
        return min(self.max_mb * MB, sys.maxsize - 1)

    def chunks(self) -> Iterator[bytes]:
        """All of it, a piece at a time."""
        while chunk := self.stream.read(CHUNK_BYTES):
            yield chunk

    def whole(self) -> bytes:
        """All of it. Raises InputError where that is more than may be held."""
        held = io.BytesIO()
        for chunk in self.chunks():
            held.write(chunk)
            if held.tell() > self.max_bytes:
                raise too_large(self.place, self.max_mb)
        return held.getvalue()

    def lines(self) -> Iterator[tuple[int, str]]:
        """(number from 1, text) of each line. Raises InputError for one that is more than may be held, or no UTF-8."""
        number = 0
        while raw := self.stream.readline(self.max_bytes + 1):
            number += 1
            if len(raw) > self.max_bytes:
                raise too_large(f"{self.place}, line {number}", self.max_mb)
            yield number, decode_text(raw, place=f"{self.place}, line {number}")


def unpacked(stream: io.BufferedIOBase, *, name: str, place: str, max_mb: int) -> TextStream:
    """The file itself, or what a `.gz` file holds."""
    if name.lower().endswith(".gz"):
        return TextStream(io.BufferedReader(_Counted(gzip.GzipFile(fileobj=stream), place, max_mb)), place, max_mb)
    return TextStream(stream, place, max_mb)


def too_large(place: str, max_mb: int) -> InputError:
    """The error for a file that holds too much."""
    return InputError(f"corpus.max_file_mb = {max_mb}: {place} holds more; raise it, or cut the file into smaller ones")


class _Counted(io.RawIOBase):
    """What is unpacked from a stream, until it is too much."""

    def __init__(self, stream: io.BufferedIOBase, place: str, max_mb: int) -> None:
        self._stream, self._place, self._max_mb = stream, place, max_mb
        self._n_bytes = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        chunk = self._stream.read(len(buffer))
        self._n_bytes += len(chunk)
        if self._n_bytes > self._max_mb * MB:
            raise too_large(f"{self._place}, unpacked,", self._max_mb)
        buffer[: len(chunk)] = chunk
        return len(chunk)
