"""Request and result lines of OpenAI's Batch API and `vllm run-batch`.

Requests are {custom_id, method, url, body}, results {custom_id, response {status_code, body}, error}. A `custom_id` is
a prefix and the journal's key.
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from autointerp.errors import InputError

__all__ = ["ENDPOINT", "RawLine", "Result", "custom_id", "iter_lines", "key_of", "parse_result", "render_request"]


ENDPOINT = "/v1/chat/completions"

_PREFIX = "autointerp-"
_KEY = re.compile(r"[0-9a-f]{32}")
_UNSENT = ("batch_expired", "batch_cancelled")
"""Errors of requests that were never sent."""


@dataclass(frozen=True, slots=True)
class Result:
    """Outcome of one request: `body` is the completion or the error; `status` None, with a `reason`, means
    never sent.
    """

    custom_id: str
    status: int | None
    body: Any
    reason: str = ""


def custom_id(key: str) -> str:
    """43 characters of the 64 allowed."""
    return _PREFIX + key


def key_of(name: str) -> str | None:
    """Key in a `custom_id`; None for a foreign name."""
    key = name.removeprefix(_PREFIX)
    return key if key != name and _KEY.fullmatch(key) else None


def render_request(key: str, body: Mapping[str, Any]) -> bytes:
    """Line with line break; unpaired surrogates become `?`, as through the API."""
    line = {"custom_id": custom_id(key), "method": "POST", "url": ENDPOINT, "body": dict(body)}
    return json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode("utf-8", errors="replace") + b"\n"


def parse_result(line: bytes) -> Result:
    """Raises ValueError describing the fault."""
    try:
        content = json.loads(line)
    except (ValueError, RecursionError):
        raise ValueError("no JSON") from None
    if not isinstance(content, dict) or not isinstance(content.get("custom_id"), str):
        raise ValueError("no JSON object with a custom_id")
    name, response, error = content["custom_id"], content.get("response"), content.get("error")
    if response is None and error is None:
        raise ValueError("a request, not a result" if "method" in content else "neither a response nor an error")
    if response is None:
        return _without_response(name, error)
    if not isinstance(response, dict) or not isinstance(response.get("status_code"), int):
        raise ValueError("a response without a status_code")
    body = response.get("body")
    # vLLM puts the words of an error beside a response without body
    return Result(name, response["status_code"], error if body is None else body)


def _without_response(name: str, error: Any) -> Result:
    """A failure without HTTP answer."""
    code = str(error.get("code") or "") if isinstance(error, dict) else ""
    if code in _UNSENT:
        return Result(name, None, error, reason=code)
    return Result(name, 500, error if isinstance(error, dict) else {"message": str(error)})


_GZIP = b"\x1f\x8b"


class RawLine(NamedTuple):
    """`is_cut`: the file ends without a line break."""

    number: int
    content: bytes
    is_cut: bool


def iter_lines(path: Path) -> Iterator[RawLine]:
    """Non-blank lines of a plain or gzip file. Raises InputError when unreadable."""
    try:
        with path.open("rb") as file:
            is_packed = file.read(2) == _GZIP
        with gzip.open(path, "rb") if is_packed else path.open("rb") as file:
            number = 0
            try:
                for number, line in enumerate(file, 1):
                    if line.strip():
                        yield RawLine(number, line, not line.endswith(b"\n"))
            except (EOFError, zlib.error, gzip.BadGzipFile):
                yield RawLine(number + 1, b"", True)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}; give files of batch results") from None
