"""Finds keys in a config by name and shape, as the run's files would store them. Reports the place, never the value."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

from autointerp.safe_text import KEY_SHAPE

__all__ = ["find_secret"]

_ENDINGS = ("key", "token", "secret", "secrets", "password", "passwords", "passwd", "pwd", "passphrase")
# Last words of a secret's name: `apiKey`, `HFTOKEN`, `client_secret`.
_ENDINGS += ("credential", "credentials", "authorization", "cookie", "bearer", "jwt")
# Plural names of secrets; `max_tokens` is none.
_SEVERAL = re.compile(r"(?:api|access|auth|secret|private|client|refresh|session|bearer)(?:key|token)s$")
# Words that may follow in such a name.
_FILLERS = {"value", "string", "str", "text", "plain", "raw", "pem", "base", "header"}
_OF_TEXT = {"bos", "eos", "pad", "unk", "sep", "cls", "mask", "stop", "start", "end", "image", "special", "think"}
# `eos_token` is a token of text, `prompt_cache_key` the key of a cache.
_OF_ORDER = {"cache", "isolation", "routing", "sort", "partition", "index"}
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")
_PLAIN_WORD = re.compile(r"[A-Za-z]+\d?")

_SAID = r"(?:[\w-]*authorization|cookie|[\w-]*(?:api[-_]?key|token|secret|password))"
_LOOKS = (
    KEY_SHAPE,
    re.compile(rf"(?i)^\s*(?:export\s+)?{_SAID}\s*[:=]\s*(?:\S+\s+)?\S{{6,}}\s*$"),  # a header on a line of its own
    re.compile(r"(?i)[?&;][\w-]*(?:key|token|secret|password|signature|sig)=[^&\s]{6,}"),  # an address with a query
    re.compile(rf"(?i)[\"']{_SAID}[\"']\s*:\s*[\"'][^\"']{{6,}}"),  # JSON in a string
)
_PAIR_NAMES = ("name", "header", "field")


def find_secret(value: Any, path: str = "", *, by_name: bool = True) -> str | None:
    """The dotted path of the first secret in plain values, or None.

    `by_name` counts any text, number or tree under `api_key`, `accessToken` and the like.
    """
    return next(_secrets(value, path, by_name), None)


def _secrets(value: Any, path: str, by_name: bool) -> Iterator[str]:
    if isinstance(value, str) and _looks(value):
        yield path
    for key, item, name in _parts(value):
        below = f"{path}.{key}" if path else key
        if _looks(key) or (by_name and _is_secret(name, item)):
            yield below
        yield from _secrets(item, below, by_name)


def _parts(value: Any) -> Iterator[tuple[str, Any, str]]:
    """Keys, values and names in a tree."""
    if isinstance(value, Mapping):
        title = next((value[name] for name in _PAIR_NAMES if isinstance(value.get(name), str)), "")
        for key, item in value.items():
            yield str(key), item, title if key == "value" else str(key)
    elif isinstance(value, list | tuple):
        title = value[0] if len(value) == 2 and isinstance(value[0], str) else ""
        for index, item in enumerate(value):
            yield str(index), item, title if index == 1 else ""


def _is_secret(name: str, value: Any) -> bool:
    words = [word.lower() for word in _WORD.findall(name)]
    while len(words) > 1 and words[-1] in _FILLERS:
        words.pop()
    if not words or not value or isinstance(value, bool):
        return False
    last, before = words[-1], words[:-1]
    if last == "env" and "key" in before:
        return not isinstance(value, str) or not (_VARIABLE.fullmatch(value) or value in os.environ)
    if last == "auth":
        return isinstance(value, str) and not _PLAIN_WORD.fullmatch(value)
    if last == "token" and (isinstance(value, int | float) or not _OF_TEXT.isdisjoint(before)):
        return False
    if last == "key" and not _OF_ORDER.isdisjoint(before):
        return False
    return last in ("pass", "pw") or last.endswith(_ENDINGS) or _SEVERAL.search("".join(words)) is not None


def _looks(text: str) -> bool:
    return any(look.search(text) for look in _LOOKS)
