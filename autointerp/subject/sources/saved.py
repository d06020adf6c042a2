"""A data set that the library `datasets` saved to a folder (`save_to_disk`): one table of rows, or one per split."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from autointerp.errors import InputError
from autointerp.records.document import Document
from autointerp.subject.sources.folders import list_folder
from autointerp.subject.sources.rows import content_of_value, field_of

__all__ = ["is_saved_dataset", "iter_saved_documents"]


def is_saved_dataset(path: Path) -> bool:
    """Whether `save_to_disk` wrote this folder."""
    return (path / "dataset_dict.json").is_file() or all(
        (path / name).is_file() for name in ("state.json", "dataset_info.json")
    )


def iter_saved_documents(path: Path, *, split: str, text_field: str) -> Iterator[Document]:
    """The rows as documents `FOLDER/SPLIT#row`, or `FOLDER#row` where there are no splits.

    Raises InputError for an unknown split or field, a damaged file, or one that leads out of the folder.
    """
    table, base = _open(path, split)
    column = field_of(table.column_names, place=f"'{path}'", text_field=text_field)
    for number, row in enumerate(table.select_columns([column])):
        content = content_of_value(row[column], place=f"'{path}', row {number}", field=column)
        yield Document(f"{base}#{number}", base, *content)


def _open(path: Path, split: str) -> tuple[Any, str]:
    """(rows, id of what they are part of)."""
    import pyarrow as pa
    from datasets import load_from_disk

    name = path.resolve().name
    try:
        _refuse_outside(path)
        found: Any = load_from_disk(str(path))
    except (OSError, ValueError, KeyError, TypeError, RecursionError, pa.ArrowException) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(f"corpus.path: '{path}' is no readable saved data set ({reason}); save it again") from error
    if isinstance(found, dict):
        if split not in found:
            raise InputError(f"corpus.split = '{split}' is not in '{path}'; its splits: {', '.join(found)}")
        found, name = found[split], f"{name}/{split}"
    return found.with_format(None), name


def _refuse_outside(path: Path) -> None:
    """The folder's own lists of files may name none outside it."""
    for file in list_folder(path):
        if file.name not in ("state.json", "dataset_dict.json"):
            continue
        listed = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(listed, dict):
            raise ValueError(f"{file.name} holds no object")
        names = [*listed.get("splits", ()), *(entry["filename"] for entry in listed.get("_data_files") or ())]
        for name in names:
            if Path(name).name != name:
                raise ValueError(f"{file.name} names '{name}', which is not a file beside it")
