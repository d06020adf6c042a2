"""A JSON file of a dictionary, a training or a store that was damaged is one line, and no pipe is waited for."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sae_core.activations.store import INDEX_FILE, open_store
from sae_core.checkpoint import load_dictionary
from sae_core.errors import SaeCoreError
from sae_core.json_file import MOST_BYTES
from sae_core.training.history import HISTORY_FILE, read_history

READERS: list[tuple[str, Callable[[Path], Any]]] = [
    ("cfg.json", load_dictionary),
    (INDEX_FILE, open_store),
    (HISTORY_FILE, read_history),
]


def make_pipe(path: Path) -> None:
    os.mkfifo(path)


def make_huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(MOST_BYTES + 1)


def make_deep(path: Path) -> None:
    path.write_text("[" * 100_000 + "]" * 100_000)


def make_rather_deep(path: Path) -> None:
    path.write_text('{"a": ' * 100 + "1" + "}" * 100)


@pytest.mark.parametrize(("name", "read"), READERS, ids=[name for name, _ in READERS])
@pytest.mark.parametrize("make", [make_pipe, make_huge, make_deep, make_rather_deep, Path.mkdir])
def test_what_is_no_small_json_file_is_one_line(
    tmp_path: Path, name: str, read: Callable[[Path], Any], make: Callable[[Path], None]
) -> None:
    make(tmp_path / name)
    with pytest.raises(SaeCoreError, match=name) as caught:
        read(tmp_path)
    assert "\n" not in str(caught.value)
