"""A key in the config would end up in the run's files: it is found by the name it stands under, and by its look.

Takes plain values as TOML gives them; says where a secret stands, never what it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from autointerp.safe_text import KEY_SHAPE

__all__ = ["find_secret"]

_NAMES = {"key", "apikey", "token", "secret", "password", "passwd", "pwd", "passphrase", "credential", "credentials"}
_NAMES |= {"authorization", "bearer", "cookie", "jwt"}
_JOINED = re.compile(r"(?:api|access|auth|secret|private|client|refresh|session|bearer)(?:key|token|secret)s?$")
"""Written as one word, or several of them: `apikey`, `access_tokens`."""
_TEXT_TOKENS = {"bos", "eos", "pad", "unk", "sep", "cls", "mask", "stop", "start", "end", "image", "special", "think"}
"""`eos_token` is a token of text."""
_KEYS_OF_NOTHING = {"prompt_cache_key"}
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")

_SAID = r"(?:[\w-]*authorization|cookie|[\w-]*(?:api[-_]?key|token|secret|password))"
_LOOKS = (
    KEY_SHAPE,
    re.compile(rf"(?i)^\s*{_SAID}\s*[:=]\s*(?:\S+\s+)?\S{{6,}}\s*$"),  # a header on a line of its own
    re.compile(r"(?i)[?&;][\w-]*(?:key|token|secret|password|signature|sig)=[^&\s]{6,}"),  # an address with a query
    re.compile(rf"(?i)[\"']{_SAID}[\"']\s*:\s*[\"'][^\"']{{6,}}"),  # JSON in a string
)
_PAIR_NAMES = ("name", "header", "field")


def find_secret(value: Any, path: str = "", *, by_name: bool = True) -> str | None:
    """The dotted path of the first secret in a tree of plain values, or None. `by_name`: a text, number or tree under
    `api_key`, `accessToken` and the like is one, whatever it looks like."""
    return next(_secrets(value, path, by_name), None)


def _secrets(value: Any, path: str, by_name: bool) -> Iterator[str]:
    if isinstance(value, str) and _looks(value):
        yield path
    for key, item, name in _parts(value):
        below = f"{path}.{key}" if path else key
        if _looks(key) or (by_name and _is_secret_name(name) and _holds(item)):
            yield below
        yield from _secrets(item, below, by_name)


def _parts(value: Any) -> Iterator[tuple[str, Any, str]]:
    """The keys of a tree with what stands under each and what it is called: a header may be a pair, or a table with
    a name and a value."""
    if isinstance(value, Mapping):
        title = next((value[name] for name in _PAIR_NAMES if isinstance(value.get(name), str)), "")
        for key, item in value.items():
            yield str(key), item, title if key == "value" else str(key)
    elif isinstance(value, list | tuple):
        title = value[0] if len(value) == 2 and isinstance(value[0], str) else ""
        for index, item in enumerate(value):
            yield str(index), item, title if index == 1 else ""


def _is_secret_name(name: str) -> bool:
    """Whether what is called so would be a secret: the last word says it."""
    words = [word.lower() for word in _WORD.findall(name)]
    if not words or "_".join(words) in _KEYS_OF_NOTHING:
        return False
    if words[-1] == "token" and not _TEXT_TOKENS.isdisjoint(words[:-1]):
        return False
    return words[-1] in _NAMES or _JOINED.search("".join(words)) is not None


def _holds(value: Any) -> bool:
    """Whether there is anything to be secret: a text, a number of more than three digits, or a tree of them."""
    if isinstance(value, bool):
        return False
    return len(str(value)) > 3 if isinstance(value, int | float) else bool(value)


def _looks(text: str) -> bool:
    return any(look.search(text) for look in _LOOKS)
