"""Finished cells survive: a crash costs the cell in flight, other settings are told apart, damage is said."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import pytest

from autointerp.errors import ArtefactError, ConfigError
from synthetic_studies.cells import CellFile, FinishedCell, write_csv

SETTINGS = {"n_seeds": 3, "sizes": (1, 2)}
CELL = FinishedCell("a", 1.5, [{"seed": 0, "score": 0.25}, {"seed": 1, "score": math.nan}])


def test_what_was_appended_is_there_again(tmp_path: Path) -> None:
    file = CellFile(tmp_path / "study" / "cells.jsonl")
    assert file.open(SETTINGS, is_fresh=False) == {}
    file.append(CELL)
    [found] = file.open(SETTINGS, is_fresh=False).values()
    assert (found.key, found.cpu_s, found.rows[0]) == ("a", 1.5, CELL.rows[0])
    assert math.isnan(found.rows[1]["score"])
    assert file.open(SETTINGS, is_fresh=True) == {}
    assert file.open(SETTINGS, is_fresh=False) == {}


@pytest.mark.parametrize("n_bytes_lost", [1, 7, 40])
def test_an_unfinished_line_is_dropped_and_the_file_goes_on(tmp_path: Path, n_bytes_lost: int) -> None:
    file = CellFile(tmp_path / "cells.jsonl")
    file.open(SETTINGS, is_fresh=False)
    file.append(CELL)
    file.append(FinishedCell("b", 1.0, []))
    file.path.write_bytes(file.path.read_bytes()[:-n_bytes_lost])
    assert list(file.open(SETTINGS, is_fresh=False)) == ["a"]
    file.append(FinishedCell("c", 1.0, []))
    assert list(file.open(SETTINGS, is_fresh=False)) == ["a", "c"]


def test_two_processes_do_not_write_one_file(tmp_path: Path) -> None:
    first, second = CellFile(tmp_path / "cells.jsonl"), CellFile(tmp_path / "cells.jsonl")
    first.open(SETTINGS, is_fresh=False)
    with pytest.raises(ConfigError, match="another process"):
        second.open(SETTINGS, is_fresh=True)
    first.append(CELL)
    first.close()
    assert list(second.open(SETTINGS, is_fresh=False)) == ["a"]


def test_other_settings_are_an_error_that_names_them(tmp_path: Path) -> None:
    file = CellFile(tmp_path / "cells.jsonl")
    file.open(SETTINGS, is_fresh=False)
    with pytest.raises(ConfigError, match=r"n_seeds \(3, now 4\).*--fresh"):
        file.open(SETTINGS | {"n_seeds": 4}, is_fresh=False)


@pytest.mark.parametrize(
    ("text", "message"), [("nonsense\n", "damaged"), ('{"schema_version": 0, "settings": {}}\n', "another version")]
)
def test_a_foreign_file_is_an_error(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "cells.jsonl"
    path.write_text(text)
    with pytest.raises(ArtefactError, match=message):
        CellFile(path).open(SETTINGS, is_fresh=False)


def test_csv_has_every_column_of_every_row(tmp_path: Path) -> None:
    write_csv(tmp_path / "x.csv", [{"a": 1, "b": 0.123456789}, {"a": 2, "c": "text, with comma"}])
    with (tmp_path / "x.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert rows == [{"a": "1", "b": "0.123457", "c": ""}, {"a": "2", "b": "", "c": "text, with comma"}]
