"""The exam's text: passages of the running Python's documentation and library, the same for the same version."""

from __future__ import annotations

import ast
import re
import sysconfig
import textwrap
import warnings
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import NamedTuple

from autointerp.audition.concept import Genre
from autointerp.errors import InputError
from autointerp.seeds import stream

__all__ = ["Passage", "read_passages"]

SEED = 20231017
LENGTHS: dict[Genre, tuple[int, int]] = {"passage": (80, 150), "prose": (180, 300), "code": (120, 500)}
"""Characters of a passage, least and most."""

# fmt: off
MODULES = (
    "_collections_abc", "_pydecimal", "_pyio", "_strptime", "argparse", "ast", "asyncio/base_events", "asyncio/events",
    "asyncio/futures", "asyncio/locks", "asyncio/selector_events", "asyncio/sslproto", "asyncio/streams",
    "asyncio/tasks", "asyncio/unix_events", "base64", "bdb", "calendar", "cmd", "code", "codecs",
    "collections/__init__", "compileall", "concurrent/futures/_base", "concurrent/futures/process", "configparser",
    "contextlib", "copy", "csv", "ctypes/__init__", "ctypes/util", "dataclasses", "datetime", "difflib", "dis",
    "doctest", "email/_header_value_parser", "email/_parseaddr", "email/_policybase", "email/charset",
    "email/contentmanager", "email/feedparser", "email/generator", "email/header", "email/headerregistry",
    "email/message", "email/policy", "email/utils", "enum", "filecmp", "fileinput", "fractions", "ftplib", "functools",
    "gettext", "glob", "graphlib", "gzip", "hashlib", "heapq", "html/parser", "http/client", "http/cookiejar",
    "http/cookies", "http/server", "imaplib", "importlib/_bootstrap", "importlib/_bootstrap_external", "importlib/util",
    "inspect", "ipaddress", "json/__init__", "json/decoder", "json/encoder", "locale", "logging/__init__",
    "logging/config", "logging/handlers", "lzma", "mailbox", "mimetypes", "modulefinder", "multiprocessing/connection",
    "multiprocessing/context", "multiprocessing/forkserver", "multiprocessing/heap", "multiprocessing/managers",
    "multiprocessing/pool", "multiprocessing/process", "multiprocessing/queues", "multiprocessing/shared_memory",
    "multiprocessing/spawn", "multiprocessing/synchronize", "multiprocessing/util", "ntpath", "numbers", "operator",
    "optparse", "os", "pathlib", "pdb", "pickle", "pickletools", "pkgutil", "platform", "plistlib", "poplib",
    "posixpath", "pprint", "profile", "pstats", "pyclbr", "pydoc", "queue", "random", "re/_compiler", "re/_parser",
    "runpy", "sched", "selectors", "shelve", "shlex", "shutil", "site", "smtplib", "socket", "socketserver", "ssl",
    "statistics", "string", "stringprep", "subprocess", "symtable", "sysconfig", "tabnanny", "tarfile", "tempfile",
    "textwrap", "threading", "timeit", "tokenize", "trace", "traceback", "tracemalloc", "turtle", "types", "typing",
    "unittest/case", "unittest/loader", "unittest/main", "unittest/mock", "unittest/runner", "unittest/suite",
    "urllib/parse", "urllib/request", "urllib/robotparser", "uuid", "warnings", "wave", "weakref", "webbrowser",
    "wsgiref/handlers", "wsgiref/validate", "xml/dom/expatbuilder", "xml/dom/minidom", "xml/dom/pulldom",
    "xml/dom/xmlbuilder", "xml/etree/ElementPath", "xml/etree/ElementTree", "xml/sax/expatreader", "xml/sax/handler",
    "xml/sax/saxutils", "xml/sax/xmlreader", "xmlrpc/client", "xmlrpc/server", "zipfile", "zipimport",
    "zoneinfo/_zoneinfo",
)
# fmt: on

_BLANKS, _LINES = re.compile(r"[^\S\n]+"), re.compile(r" ?\n[ \n]*")
_PROSE = re.compile(r"""[A-Za-z][^()\[\]{}"“”‘;!+0-9#<>*=|\\`^~@$%\n]{180,}""")
_FEWEST = 500


class Passage(NamedTuple):
    """A stretch of text and its origin."""

    name: str
    text: str


@cache
def read_passages(genre: Genre = "passage") -> tuple[Passage, ...]:
    """Without repeats. Raises InputError where this Python has too little documentation and source."""
    pieces = {"passage": _passages, "prose": _prose, "code": _statements}[genre]
    passages: dict[str, Passage] = {}
    for name, text in _iter_documents():
        for start, piece in pieces(text, name):
            passages.setdefault(piece, Passage(f"{name}:{genre}:{start}", piece))
    if len(passages) < _FEWEST:
        raise InputError(
            f"this Python's library has text for {len(passages)} passages of {genre}, and an exam takes {_FEWEST}: use "
            "a Python that is installed with its .py files"
        )
    return tuple(passages.values())


def _iter_documents() -> Iterator[tuple[str, str]]:
    """The language reference of `help()`, then modules; missing ones are skipped."""
    with suppress(ImportError):
        from pydoc_data.topics import topics

        yield from ((f"topics/{name}", text) for name, text in sorted(topics.items()))
    root = Path(sysconfig.get_path("stdlib"))
    for module in MODULES:
        try:
            yield module, (root / f"{module}.py").read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue


def _passages(text: str, name: str) -> Iterator[tuple[int, str]]:
    # runs of spaces and of line ends become one each, to spare a judge's tokens
    return _cut(_LINES.sub("\n", _BLANKS.sub(" ", text)).strip(), name, *LENGTHS["passage"])


def _prose(text: str, name: str) -> Iterator[tuple[int, str]]:
    """Sentences without signs that hard concepts plant."""
    for match in _PROSE.finditer(" ".join(text.split())):
        for start, piece in _cut(match[0].strip(), name, *LENGTHS["prose"]):
            yield match.start() + start, piece


def _statements(text: str, name: str) -> Iterator[tuple[int, str]]:
    """Consecutive whole statements of a module, as many as fit."""
    if name.startswith("topics/"):
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = ast.parse(text)
    lines = text.splitlines()
    for first, last in _runs(module.body, lines):
        piece = textwrap.dedent("\n".join(lines[first - 1 : last])).strip("\n")
        if piece.isascii() and LENGTHS["code"][0] <= len(piece) <= LENGTHS["code"][1]:
            yield first, piece


def _runs(body: list[ast.stmt], lines: list[str]) -> Iterator[tuple[int, int]]:
    """First and last lines of statements that fit; of one too long, those of its body."""
    run: tuple[int, int] | None = None
    for statement in body:
        first = min([statement.lineno, *(one.lineno for one in getattr(statement, "decorator_list", ()))])
        own = first, statement.end_lineno or first
        joined = (run or own)[0], own[1]
        if run and _n_characters(lines, joined) > LENGTHS["code"][1]:
            yield run
            joined = own
        if _n_characters(lines, own) > LENGTHS["code"][1]:
            run = None
            yield from _runs(getattr(statement, "body", []), lines)
        else:
            run = joined
    if run:
        yield run


def _n_characters(lines: list[str], run: tuple[int, int]) -> int:
    return sum(len(line) + 1 for line in lines[run[0] - 1 : run[1]])


def _cut(text: str, name: str, least: int, most: int) -> Iterator[tuple[int, str]]:
    """Pieces cut at white space."""
    rng = stream(SEED, "audition", "cut", name)
    start = 0
    while len(text) - start > least:
        end = start + int(rng.integers(least, most + 1))
        while end < len(text) and not text[end].isspace():
            end += 1
        piece = text[start:end].strip()
        if least // 2 < len(piece) < 2 * most:
            yield start, piece
        start = end
