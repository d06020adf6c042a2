"""Models in the user's cache: each a folder that is whole, as it was written, or absent."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path

from autointerp.errors import InputError, UnreadableFile
from autointerp.small_files import read_json

__all__ = ["file_sha256", "find_kept", "keep", "kept_path", "models_folder", "need_room", "origin_of", "workspace"]

# says where the model came from and how its files were written
_RECORD = "kept.json"
# age of what a killed process has left
_ABANDONED_S = 24 * 3600.0


def models_folder() -> Path:
    """Raises InputError where the user has no cache."""
    try:
        return user_cache_path("autointerp", appauthor=False, opinion=False) / "models"
    except RuntimeError as error:
        raise InputError(f"there is no place for models ({error}); set XDG_CACHE_HOME") from None


def kept_path(key: str) -> Path:
    return models_folder() / key


def find_kept(key: str) -> Path | None:
    """The folder of a model, None where it is missing or a file is not as it was written."""
    folder = kept_path(key)
    files = _record(folder).get("files")
    if not isinstance(files, dict) or not files:
        return None
    return folder if all(_is_as_written(folder / name, written) for name, written in files.items()) else None


def origin_of(key: str) -> Mapping[str, Any]:
    """What `keep` was told of it."""
    origin = _record(kept_path(key)).get("origin")
    return origin if isinstance(origin, dict) else {}


def keep(key: str, write: Callable[[Path], Mapping[str, Any]]) -> Path:
    """Let `write` fill a folder and say where its files come from, and keep it.

    Of several processes that keep the same model the first wins. Raises InputError where the cache cannot be written.
    """
    with workspace() as work:
        made = work / "model"
        with _naming_the_cache():
            made.mkdir()
            origin = write(made)
            paths = sorted(path for path in made.rglob("*") if path.is_file())
            files = {path.relative_to(made).as_posix(): _written(path) for path in paths}
            (made / _RECORD).write_text(json.dumps({"origin": origin, "files": files}, indent=1), encoding="utf-8")
            for path in (*paths, made / _RECORD):
                _sync(path)
            return _move_into_place(made, key, work)


@contextmanager
def workspace() -> Iterator[Path]:
    """A folder beside the models, removed at the end. Raises InputError where there can be none."""
    with _naming_the_cache():
        models_folder().mkdir(parents=True, exist_ok=True)
        for old in models_folder().glob(".work-*"):
            with suppress(OSError):  # another process has removed it
                if time.time() - old.stat().st_mtime > _ABANDONED_S:
                    shutil.rmtree(old, ignore_errors=True)
        work = Path(tempfile.mkdtemp(prefix=".work-", dir=models_folder()))
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def need_room(n_bytes: int) -> None:
    """Raises InputError unless the cache's disk has so much free."""
    folder = models_folder()
    there = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(there).free
    if free < n_bytes:
        raise InputError(
            f"it needs {n_bytes / 1e9:.1f} GB in {folder}, where {free / 1e9:.1f} GB are free; free space, or set "
            "XDG_CACHE_HOME to a folder of a larger disk"
        )


def file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _move_into_place(made: Path, key: str, work: Path) -> Path:
    place = kept_path(key)
    for attempt in range(3):
        try:
            made.rename(place)
        except OSError:
            if not place.exists() or attempt == 2:
                raise
            # another process was first, or what lies there is damaged
            if find_kept(key) is not None:
                return place
            place.rename(work / f"damaged-{attempt}")
        else:
            break
    return place


def _record(folder: Path) -> dict[str, Any]:
    try:
        record = read_json(folder / _RECORD)
    except UnreadableFile:
        return {}
    return record if isinstance(record, dict) else {}


def _written(path: Path) -> dict[str, Any]:
    stat = path.stat()
    return {"bytes": stat.st_size, "mtime_ns": stat.st_mtime_ns, "sha256": file_sha256(path)}


def _is_as_written(path: Path, written: Any) -> bool:
    try:
        stat = path.stat()
        if stat.st_size != written["bytes"]:
            return False
        # the content is read only where somebody has touched or copied the file
        return stat.st_mtime_ns == written["mtime_ns"] or file_sha256(path) == written["sha256"]
    except (OSError, TypeError, KeyError):
        return False


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _naming_the_cache() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(
            f"{models_folder()} cannot be written ({error.strerror or error}); free space, or set XDG_CACHE_HOME"
        ) from error
