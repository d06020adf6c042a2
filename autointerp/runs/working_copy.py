"""A run on an object store and the folder of this machine in which it is worked on, kept alike in both directions.

Its files lie under their own names below a URL that fsspec opens, and are put whole: artefacts first, then the
manifests that vouch for them, databases as of one moment. Keys are read by the store's own library, from its
environment.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

from platformdirs import user_cache_path

from autointerp.distribution import how_to_install
from autointerp.errors import ArtefactError, AutointerpError, ConfigError, RunStopped
from autointerp.runs.layout import write_text
from autointerp.small_files import read_json

try:
    import fcntl
except ImportError:  # no such locks on this platform
    fcntl = None

__all__ = ["LEASE", "WorkingCopy", "is_address"]

LEASE = "run.lease"
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_STAYS = re.compile(
    rf"^(activations|training)/|(^|/)({LEASE}|progress\.json|\.[^/]*\.tmp)$|\.lock$|\.sqlite-(wal|shm|reserve)$"
)
"""Neither put nor fetched."""
_MANIFEST, _DATABASE = "manifest.json", ".sqlite"
_OBJECT_STORES = {"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "oci"}
_MARKS = ("ETag", "etag", "md5Hash", "mtime", "last_modified", "created")
"""What tells two versions of an object apart, by the stores' names for it; the first that is stated counts."""
_QUERY = re.compile(r"(?<=\S)\?[^\s\"']+")
_N_LISTINGS = 3
_MARKER, _KNOWN = "working_copy.json", "known.json"


def is_address(place: str | Path) -> bool:
    return _ADDRESS.match(str(place)) is not None


@dataclass(slots=True)
class _Known:
    """A file as it last was the same on both sides."""

    here: list[int]
    there: list[Any]


@dataclass
class WorkingCopy:
    """`home` holds the folder, and beside it what is known of both sides.

    scope: the part of the run that is put back, such as a shard's folder. is_led: a coordinator vouches that nobody
    else writes it. Methods raise ConfigError for a missing package, ArtefactError where nothing can be fetched, and
    RunStopped where nothing can be put.
    """

    home: Path
    url: str
    scope: str = ""
    is_led: bool = False
    holder: str = field(default_factory=lambda: uuid4().hex)
    """Names it in a lease."""

    def __post_init__(self) -> None:
        self.mutex = threading.RLock()
        """Held while files travel."""

    @classmethod
    def at(cls, url: str, *, scope: str = "", is_led: bool = False) -> WorkingCopy:
        """That of a URL in the user's cache. Raises ConfigError for a URL that holds more than a place."""
        url = url.rstrip("/")
        if re.search(r"[@?#]|::|/\.{1,2}(/|$)", url):
            raise ConfigError(
                f"{url.partition(':')[0]}:// address: give protocol://bucket/path alone; user, key and options are for "
                "fsspec's own environment"
            )
        place = hashlib.sha256(f"{url} {scope}".encode()).hexdigest()[:16]
        home = user_cache_path("autointerp", appauthor=False, opinion=False) / "remote" / place
        if (known := cls.in_home(home)) is not None:
            return known
        made = cls(home, url, scope, is_led)
        stated = {name: value for name, value in asdict(made).items() if name != "home"}
        write_text(home / _MARKER, json.dumps(stated))
        return made

    @classmethod
    def in_home(cls, home: Path) -> WorkingCopy | None:
        marker = home / _MARKER
        return cls(home, **read_json(marker)) if marker.is_file() else None

    @property
    def root(self) -> Path:
        return self.home / self.url.rpartition("/")[2]

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Others of this machine wait, that fetch into the same folder."""
        self.home.mkdir(parents=True, exist_ok=True)
        with (self.home / "copy.lock").open("w") as file:
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def fetch(self) -> bool:
        """Bring here what another machine changed; whether there is anything.

        What was changed here alone stays. Of a file changed on both sides the store's counts, and a database is kept
        beside the folder.
        """
        with self.mutex, self._telling(ArtefactError, "look at the address, and at the store's keys and its server"):
            for _ in range(_N_LISTINGS):
                with suppress(FileNotFoundError):  # deleted since it was listed, as merged shards are
                    return self._fetch(self._list())
            return self._fetch(self._list())

    def _fetch(self, there: Mapping[str, list[Any]]) -> bool:
        known = self._read_known() if there else {}
        try:
            # a manifest before what it vouches for: what is newer than it harms nothing
            for name in sorted(there, key=lambda name: (not name.endswith(_MANIFEST), name)):
                before, path = known.get(name), self.root / name
                if before is None or before.there != there[name] or not path.is_file():
                    self._bring(name, is_changed=before is None or before.here != _mark(path))
                    known[name] = _Known(_mark(path), there[name])
            for name in known.keys() - there.keys():
                _remove(self.root / name)
                del known[name]
        finally:
            self._write_known(known)
        return bool(there)

    def put(self) -> None:
        """Put back what was changed here since it was last the same, and delete there what was deleted here."""
        fix = f"what is done is kept in {self.root}, the same command goes on from here"
        with self.mutex, self._telling(RunStopped, fix):
            known = self._read_known()
            # as they are now: what they vouch for is there when they come
            manifests = {n: (_mark(p), p.read_bytes()) for n, p in self._files() if n.endswith(_MANIFEST)}
            try:
                for name, path in self._files():
                    mark, before = _mark(path), known.get(name)
                    if not name.endswith(_MANIFEST) and (before is None or before.here != mark):
                        try:
                            known[name] = _Known(mark, self._send(name, path))
                        except FileNotFoundError:
                            if path.exists():  # else deleted meanwhile
                                raise
                for name, (mark, content) in manifests.items():
                    if name not in known or known[name].here != mark:
                        (self.home / "manifest").write_bytes(content)
                        known[name] = _Known(mark, self._send(name, self.home / "manifest"))
                for name in [name for name in known if not (self.root / name).exists()]:
                    self._delete(name, known.pop(name))
            finally:
                self._write_known(known)

    def write_object(self, name: str, content: bytes, *, is_new: bool = False) -> None:
        """With `is_new` one that is there stays, as far as the store can tell."""
        self._make_folder(name)
        with suppress(FileExistsError) if is_new else nullcontext():
            self._fs.pipe_file(self._there(name), content, mode="create" if is_new else "overwrite")

    def read_object(self, name: str) -> bytes | None:
        self._fs.invalidate_cache()
        try:
            return self._fs.cat_file(self._there(name))
        except FileNotFoundError:
            return None

    def delete_object(self, name: str) -> None:
        self._fs.rm_file(self._there(name))

    @contextmanager
    def telling(self) -> Iterator[None]:
        """A store's errors as RunStopped."""
        with self._telling(RunStopped, f"what is done is kept in {self.root}, the same command goes on from here"):
            yield

    @contextmanager
    def _telling(self, kind: type[AutointerpError], fix: str) -> Iterator[None]:
        try:
            yield
        except AutointerpError:
            raise
        except ImportError as error:
            packages = f"{how_to_install('remote')}, or the package of another store, such as gcsfs"
            raise ConfigError(f"{self.url} needs a package that is missing ({error}): {packages}") from None
        except Exception as error:  # noqa: BLE001  # every store has errors of its own
            reason = _QUERY.sub("", next(iter(str(error).splitlines()), ""))
            raise kind(f"{self.url} cannot be used ({type(error).__name__}: {reason}); {fix}") from None

    @property
    def _fs(self) -> Any:
        from fsspec.core import url_to_fs

        return url_to_fs(self.url)[0]

    @property
    def _has_folders(self) -> bool:
        """Unlike an object store, where an object is seen when all of it is there."""
        return self.url.partition(":")[0].lower() not in _OBJECT_STORES

    def _there(self, name: str) -> str:
        return f"{self._fs._strip_protocol(self.url)}/{name}"

    def _list(self) -> dict[str, list[Any]]:
        """What this copy takes of the files that are there, and what tells their versions apart."""
        self._fs.invalidate_cache()
        base = self._there("")
        found = {p[len(base) :]: i for p, i in self._fs.find(base, detail=True).items() if i["type"] == "file"}
        return {name: _version(info) for name, info in found.items() if self._takes(name)}

    def _takes(self, name: str) -> bool:
        is_others = bool(self.scope) and name.startswith("shards/") and not name.startswith(f"{self.scope}/")
        return not is_others and not _STAYS.search(name) and {"", ".", ".."}.isdisjoint(name.split("/"))

    def _files(self) -> list[tuple[str, Path]]:
        """What is put of the files that are here."""
        files = [path for path in sorted((self.root / self.scope).rglob("*")) if path.is_file()]
        return [(n, p) for p in files if not _STAYS.search(n := p.relative_to(self.root).as_posix())]

    def _bring(self, name: str, *, is_changed: bool) -> None:
        path, arriving = self.root / name, self.home / "arriving"
        self._fs.get_file(self._there(name), str(arriving))
        path.parent.mkdir(parents=True, exist_ok=True)
        if is_changed and name.endswith(_DATABASE) and path.is_file():
            _snapshot(path, self.home / f"kept-{uuid4().hex[:8]}-{path.name}")
        _remove(path)
        arriving.replace(path)

    def _send(self, name: str, path: Path) -> list[Any]:
        """The version that is there then."""
        if name.endswith(_DATABASE):
            path = _snapshot(path, self.home / "snapshot")
        fs, there = self._fs, self._there(name)
        self._make_folder(name)
        if self._has_folders:
            folder, _, last = there.rpartition("/")
            arriving = f"{folder}/.{last}.{self.holder}.tmp"
            fs.put_file(str(path), arriving)
            fs.mv(arriving, there)
        else:
            fs.put_file(str(path), there)
        return self._version_of(name)

    def _make_folder(self, name: str) -> None:
        if self._has_folders:  # elsewhere it might make a bucket
            self._fs.makedirs(self._there(name).rpartition("/")[0], exist_ok=True)

    def _delete(self, name: str, known: _Known) -> None:
        """Unless another has put it anew."""
        with suppress(FileNotFoundError):
            if self._version_of(name) == known.there:
                self.delete_object(name)

    def _version_of(self, name: str) -> list[Any]:
        self._fs.invalidate_cache()
        return _version(self._fs.info(self._there(name)))

    def _read_known(self) -> dict[str, _Known]:
        path = self.home / _KNOWN
        # without the folder nothing is known to be deleted
        found = read_json(path) if path.is_file() and self.root.is_dir() else {}
        return {name: _Known(**each) for name, each in found.items()}

    def _write_known(self, known: dict[str, _Known]) -> None:
        write_text(self.home / _KNOWN, json.dumps({name: asdict(each) for name, each in known.items()}))


def _remove(path: Path) -> None:
    """With what belongs to a database."""
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _mark(path: Path) -> list[int]:
    """Another one when the file was written; a database's log belongs to it."""
    files = [path, path.with_name(f"{path.name}-wal")] if path.name.endswith(_DATABASE) else [path]
    marks = []
    for file in files:
        with suppress(FileNotFoundError):
            stat = file.stat()
            marks += [stat.st_size, stat.st_mtime_ns] if stat.st_size else []
    return marks


def _version(info: dict[str, Any]) -> list[Any]:
    return [info.get("size"), next((str(info[name]) for name in _MARKS if info.get(name) is not None), None)]


def _snapshot(path: Path, target: Path) -> Path:
    """A database as of one moment, also while it is written."""
    target.unlink(missing_ok=True)
    try:
        address = f"file:{quote(str(path.resolve()))}?mode=rw"
        with closing(sqlite3.connect(address, uri=True)) as source, closing(sqlite3.connect(target)) as copy:
            source.backup(copy)
    except sqlite3.DatabaseError:
        shutil.copyfile(path, target)  # a damaged one, as it is
    return target
