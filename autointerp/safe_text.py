"""Text from a server, model, archive or plug-in, made safe: everything printed, logged or raised goes through here."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

__all__ = [
    "KEY_SHAPE",
    "csv_cell",
    "remember_key",
    "safe_line",
    "safe_text",
    "safe_tree",
    "without_folders",
    "without_keys_in_use",
]

# what looks like a key: the usual prefixes, a bearer token, a signed token, a password within an address. Folders are
# called `hf_datasets` and `xai-benchmark`, so a prefix alone is not enough.
KEY_SHAPE = re.compile(
    r"(?<![\w-])(?:"
    r"sk-(?=[\w-]*\d)[\w-]{8,}|sk-[\w-]{16,}|(?:sk_live_|sk_test_|xox[a-z]-|gh[a-z]_|github_pat_|glpat-|AIza)[\w-]{8,}"
    r"|(?:gsk_|xai-|pplx-|r8_|hf_)[A-Za-z0-9]{20,}|hf_(?=[a-z]*[A-Z0-9])[A-Za-z0-9]{16,}|AKIA[0-9A-Z]{16}"
    r"|(?:Bearer|Basic)\s+(?=\S*\d)[\w.~+/=-]{8,}"
    r"|(?i:authorization\W{1,4}(?:bearer|basic))\s+\S+"
    r"|eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----.*"
    r")|(?<=//)[^/@\s'\"]+:[^/@\s'\"]+(?=@)",
    re.DOTALL,
)

_OUT = "***"
# shorter ones, such as `none` or `EMPTY` for servers that want some key, are words of other texts as well
_SHORTEST_KEY = 8
_VARIABLE = re.compile(r"(?:^|_)(?:API_?KEY|KEY|TOKEN|SECRET|PASSWORD)$")
# a value that was drawn and not written: long, without spaces, with a digit
_UNBROKEN = re.compile(r"[\w.~+/=-]{16,}")
_DRAWN = re.compile(rf"(?=.*\d){_UNBROKEN.pattern}")

# control characters but tab and line feed, separators of lines, overrides of direction, half characters
_STEERING = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_BREAK = re.compile(r"\s*[\n\r\v\f\x85\u2028\u2029]\s*")
_LOCAL = re.compile(r"(\w+:)?((?:~|\.{1,2})?/(?!/).+)")
_COLOUR = re.compile(r"(\x1b\[[0-9;]*m)")

_keys_in_use: set[str] = set()


def remember_key(key: str) -> None:
    """Take this key out of every text from now on."""
    if len(key) >= _SHORTEST_KEY:
        _keys_in_use.add(key)


def without_keys_in_use(text: str) -> str:
    """The text without keys that were remembered or stand in the environment; otherwise unchanged, for texts that are
    data.
    """
    drawn: set[str] = set()
    if _UNBROKEN.search(text):  # else none can stand in it
        values = (os.environ.get(name, "") for name in os.environ if _VARIABLE.search(name))
        drawn = {value for value in values if _DRAWN.fullmatch(value)}
    for key in sorted(_keys_in_use | drawn, key=len, reverse=True):
        text = text.replace(key, _OUT)
    return text


def safe_text(text: str, *, has_colour: bool = False) -> str:
    """The text without keys and what looks like one, steering characters spelled out as in JSON; line feeds and tabs
    stay.

    `has_colour` keeps a table's own colours: its cells must be safe already.
    """
    text = KEY_SHAPE.sub(_OUT, without_keys_in_use(text))
    if has_colour:
        return "".join(part if i % 2 else _spelled(part) for i, part in enumerate(_COLOUR.split(text)))
    return _spelled(text)


def safe_line(text: str) -> str:
    """As `safe_text`, on one line."""
    return safe_text(_BREAK.sub(" ", text.strip("\r\n"))).replace("\t", " ")


def safe_tree(value: Any) -> Any:
    """Plain values with every string made safe, names of keys included."""
    if isinstance(value, str):
        return safe_text(value)
    if isinstance(value, Mapping):
        return {safe_tree(key): safe_tree(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [safe_tree(item) for item in value]
    return value


def csv_cell(value: Any) -> Any:
    """Text that a spreadsheet would take for a formula gets a quote before it."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value


def without_folders(text: str) -> str:
    """Paths of this machine, also of several after commas, cut to their last name, as pages are shown to others."""
    return ", ".join(
        f"{local[1] or ''}{PurePath(local[2]).name}" if (local := _LOCAL.fullmatch(part)) else part
        for part in text.split(", ")
    )


def _spelled(text: str) -> str:
    return _STEERING.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
