"""Histories survive their file; a damaged one is one clear error."""

from __future__ import annotations

from pathlib import Path

import pytest

from sae_core.errors import DictionaryFormatError
from sae_core.training.history import StepRecord, read_history, write_history


def test_round_trip_and_damage(tmp_path: Path) -> None:
    records = [StepRecord(i, i * 4, 0.1 / (i + 1), 1.0, 0.5, 3.0, 9.0, 0.0, i, 1e-3) for i in range(3)]
    path = write_history(records, tmp_path / "new")
    assert path.name == "history.jsonl" and read_history(tmp_path / "new") == records
    path.write_text(path.read_text()[:-9])
    with pytest.raises(DictionaryFormatError, match="history"):
        read_history(tmp_path / "new")
    with pytest.raises(DictionaryFormatError):
        read_history(tmp_path)
