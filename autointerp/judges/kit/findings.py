"""Findings of a contract kit. A check returns what it saw, or raises `Broken` or `NotAsked`."""

from __future__ import annotations

import asyncio
import sysconfig
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from autointerp.errors import AutointerpError

__all__ = ["Broken", "CheckResult", "NotAsked", "find", "find_now"]

_PACKAGE = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class CheckResult:
    """`is_passed` None: the check does not apply."""

    name: str
    is_passed: bool | None
    detail: str


class Broken(Exception):
    """The contract is broken; the message says how."""


class NotAsked(Exception):
    """The check does not apply; the message says why."""


async def find(name: str, check: Callable[[], Awaitable[str]], *, limit_s: float) -> CheckResult:
    """Finding of an asynchronous check within `limit_s`."""
    try:
        async with asyncio.timeout(limit_s):
            return CheckResult(name, True, await check())
    except TimeoutError:
        return CheckResult(name, False, f"nothing came back within {limit_s:g} s")
    except Exception as error:  # noqa: BLE001  # who is checked may raise anything: that is what is looked for
        return _failed(name, error)


def find_now(name: str, check: Callable[[], str]) -> CheckResult:
    """Finding of a synchronous check."""
    try:
        return CheckResult(name, True, check())
    except Exception as error:  # noqa: BLE001  # who is checked may raise anything: that is what is looked for
        return _failed(name, error)


def _failed(name: str, error: Exception) -> CheckResult:
    if isinstance(error, Broken):
        return CheckResult(name, False, str(error))
    if isinstance(error, NotAsked):
        return CheckResult(name, None, str(error))
    said = " ".join(f"{type(error).__name__}: {error}".split())[:300]
    notes = "".join(f"; {note}" for note in getattr(error, "__notes__", ()))
    if isinstance(error, AutointerpError):
        return CheckResult(name, False, f"{said}{notes}")
    return CheckResult(name, False, f"raised what is no error of this package: {said}, {_place(error)}{notes}")


def _place(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    kit = [frame for frame in frames if _is_kit(frame.filename)]
    theirs = [frame for frame in frames if not _is_kit(frame.filename) and not _is_standard(frame.filename)]
    if not theirs:
        return f"{frames[-1].filename}:{frames[-1].lineno}"
    folder = str(Path(theirs[0].filename).parent)
    last = [frame for frame in theirs if frame.filename.startswith(folder)][-1]
    return f"{last.filename}:{last.lineno} in {last.name}, called as `{kit[-1].line if kit else ''}`"


def _is_kit(file: str) -> bool:
    path = Path(file)
    return path.parent == Path(__file__).parent or (path.name == "contract.py" and path.parents[1] == _PACKAGE)


def _is_standard(file: str) -> bool:
    paths = sysconfig.get_paths()
    return file.startswith(paths["stdlib"]) and not file.startswith((paths["purelib"], paths["platlib"]))
