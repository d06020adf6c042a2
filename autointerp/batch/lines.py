"""Lines of batch files, of requests and of results: the form that OpenAI's Batch API and `vllm run-batch` share.

A request line is {custom_id, method, url, body}, a result line {custom_id, response {status_code, body}, error}. The
`custom_id` is the key under which a reply is journalled, behind a prefix that says whose it is. Files of results are
plain or gzip, of any size, cut off at the end or not.
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
"""Error codes of requests that the batch ended without sending."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a line says became of one request. `status` None: it was never sent (`reason` says why).

    `body` is the completion, or the error as the endpoint words it.
    """

    custom_id: str
    status: int | None
    body: Any
    reason: str = ""


def custom_id(key: str) -> str:
    """The name of a request in batch files: 43 characters, of the 64 that are allowed."""
    return _PREFIX + key


def key_of(name: str) -> str | None:
    """The key in a `custom_id`, or None when it is none of ours."""
    key = name.removeprefix(_PREFIX)
    return key if key != name and _KEY.fullmatch(key) else None


def render_request(key: str, body: Mapping[str, Any]) -> bytes:
    """The line that asks `body`, with its line break. Half characters go out as `?`, as they do through the API."""
    line = {"custom_id": custom_id(key), "method": "POST", "url": ENDPOINT, "body": dict(body)}
    return json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode("utf-8", errors="replace") + b"\n"


def parse_result(line: bytes) -> Result:
    """What a line of a result or error file says. Raises ValueError that says what is wrong with it."""
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
    """A request that failed without an HTTP answer; one that was never sent has no status."""
    code = str(error.get("code") or "") if isinstance(error, dict) else ""
    if code in _UNSENT:
        return Result(name, None, error, reason=code)
    return Result(name, 500, error if isinstance(error, dict) else {"message": str(error)})


_GZIP = b"\x1f\x8b"


class RawLine(NamedTuple):
    """A line as it stands in its file. `is_cut` means that the file ends in it, without a line break."""

    number: int
    content: bytes
    is_cut: bool


def iter_lines(path: Path) -> Iterator[RawLine]:
    """The lines of a file that are not blank. Raises InputError when it cannot be read."""
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
