"""Plain text: bytes decoded, a long text cut into documents, half characters mended."""

from __future__ import annotations

from collections.abc import Iterator

from autointerp.errors import InputError

__all__ = ["decode_text", "mend_surrogates", "split_text"]

MIN_CHARACTERS = 2_000
"""A document is closed at the first blank line after this many characters."""

MAX_CHARACTERS = 4_000
"""Text without blank lines is cut here, at a line end or space near by where there is one."""


def decode_text(raw: bytes, *, place: str) -> str:
    """UTF-8 (a byte-order mark dropped) as text. Raises InputError naming the place and the first bad byte."""
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"corpus.path: {place} is not UTF-8 (byte 0x{raw[error.start]:02x} at position {error.start}); "
            f"convert it, e.g. `iconv -f WINDOWS-1252 -t UTF-8`"
        ) from error


def split_text(text: str) -> Iterator[str]:
    """The text cut into documents at blank lines; joined again the pieces are the text. Nothing for an empty one."""
    start = 0
    while start < len(text):
        end = _end_of_piece(text, start)
        yield text[start:end]
        start = end


def mend_surrogates(text: str) -> str:
    """Lone surrogates, which JSON escapes can spell and UTF-8 cannot, become U+FFFD; pairs become their character."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def _end_of_piece(text: str, start: int) -> int:
    latest = start + MAX_CHARACTERS
    for blank in ("\n\n", "\r\n\r\n"):
        found = text.find(blank, start + MIN_CHARACTERS, latest)
        if found >= 0:
            return found + len(blank)
    if len(text) <= latest:
        return len(text)
    for separator in ("\n", " "):
        found = text.rfind(separator, start + MIN_CHARACTERS, latest)
        if found >= 0:
            return found + 1
    return latest
