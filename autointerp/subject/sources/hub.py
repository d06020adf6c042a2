"""Text of a HuggingFace data set, streamed through `datasets`: by hub name, or a local directory in its layout."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from autointerp.errors import InputError
from autointerp.hub import HubUnknown, HubUnreachable, look_up, network_errors
from autointerp.records.document import Document
from autointerp.subject.sources.folders import hash_file, list_folder
from autointerp.subject.sources.rows import content_of_row

__all__ = ["hash_hub", "iter_hub_documents"]


def iter_hub_documents(name: str, *, subset: str | None, split: str, text_field: str) -> Iterator[Document]:
    """The rows of one split as documents `NAME#row`, in the data set's own order, streamed.

    Raises InputError for an unknown name, subset, split or field, a damaged file, or a hub out of reach.
    """
    base = _base_id(name, subset=subset, split=split)
    with _errors(name, subset=subset, split=split):
        rows = iter(_open(name, subset=subset, split=split))
    number = 0
    while True:
        with _errors(name, subset=subset, split=split):
            row = next(rows, None)
        if row is None:
            return
        content = content_of_row(row, place=f"data set '{name}', row {number}", text_field=text_field)
        yield Document(f"{base}#{number}", base, *content)
        number += 1


def hash_hub(name: str, *, subset: str | None, split: str, text_field: str) -> str:
    """Hash of a local data set's files, or of a hub data set's name, subset, split, field and commit."""
    parts = [_base_id(name, subset=subset, split=split), text_field]
    path = Path(name).expanduser()
    if path.is_dir():
        for file in list_folder(path):
            parts += [file.relative_to(path).as_posix(), hash_file(file)]
    else:
        # without network the hash names the data set but cannot pin its version
        with suppress(HubUnknown, HubUnreachable):
            parts.append(look_up(name, kind="dataset"))
    return hashlib.blake2b("\x1f".join(parts).encode(), digest_size=16).hexdigest()


def _open(name: str, *, subset: str | None, split: str) -> Any:
    from datasets import load_dataset

    path = Path(name).expanduser()
    if path.is_dir():
        list_folder(path)  # refuses what leads out of it
    else:
        # asked once first, because `datasets` itself tries an unreachable hub for 25 s
        look_up(name, kind="dataset")
    return load_dataset(str(path) if path.is_dir() else name, subset, split=split, streaming=True)


def _base_id(name: str, *, subset: str | None, split: str) -> str:
    path = Path(name).expanduser()
    return "/".join([path.resolve().name if path.is_dir() else name, *([subset] if subset else []), split])


@contextmanager
def _errors(name: str, *, subset: str | None, split: str) -> Iterator[None]:
    """What `datasets` raises, as one line with the key to change."""
    import pyarrow as pa
    from datasets.exceptions import DatasetNotFoundError, DatasetsError

    where = f"corpus.path = 'hf:{name}' (subset {subset or 'default'}, split {split})"
    try:
        yield
    except (DatasetNotFoundError, HubUnknown) as error:
        raise InputError(f"{where}: no such data set on the hub or here; correct the name") from error
    except (HubUnreachable, ConnectionError) as error:
        raise InputError(
            f"{where}: the HuggingFace hub could not be reached; give a local file, or run where there is network"
        ) from error
    except (DatasetsError, ValueError, KeyError, pa.ArrowException, *network_errors()) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(f"{where} cannot be read: {reason}; check corpus.subset and corpus.split") from error
