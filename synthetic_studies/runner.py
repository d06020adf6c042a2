"""Running a study: cells, then table, document and figure."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from autointerp.errors import ConfigError
from autointerp.progress import Bar, Progress
from synthetic_studies.cells import CellFile, FinishedCell, write_csv
from synthetic_studies.document import render_document
from synthetic_studies.figure_style import save_figure, style
from synthetic_studies.study import Cell, Row, Study, StudySettings

__all__ = ["PRESETS", "StudyResult", "choose_settings", "read_study", "run_study"]

PRESETS = ("quick", "full")


@dataclass(frozen=True)
class StudyResult:
    """A finished study. cpu_s: CPU seconds of all cells, also of earlier calls."""

    name: str
    folder: Path
    rows: Sequence[Row]
    n_reproduced: int
    n_compared: int
    cpu_s: float

    @property
    def n_rows(self) -> int:
        return len(self.rows)


def choose_settings(study: Study, *, preset: str, overrides: dict[str, Any]) -> StudySettings:
    """A preset's settings, some replaced. Raises ConfigError naming the key and what exists."""
    if preset not in PRESETS:
        raise ConfigError(f"--preset {preset!r} is unknown; use {' or '.join(PRESETS)}")
    settings = study.full if preset == "full" else study.quick
    known = {field.name: getattr(settings, field.name) for field in fields(settings)}
    checked = {}
    for key, value in overrides.items():
        if key not in known:
            raise ConfigError(f"study {study.name} has no setting '{key}'; it has {', '.join(sorted(known))}")
        checked[key] = _as_type_of(known[key], value, key=key)
    return replace(settings, **checked)


def run_study(
    study: Study,
    settings: StudySettings,
    *,
    preset: str,
    folder: Path,
    command: str,
    is_fresh: bool,
    progress: Progress,
) -> StudyResult:
    """Run a study's missing cells and write its csv, md and png into `folder`.

    Raises ConfigError if the folder holds other settings or is in use.
    """
    with closing(CellFile(folder / "cells.jsonl")) as file:
        done = file.open({"preset": preset, **asdict(settings)}, is_fresh=is_fresh)
        cells = study.cells(settings)
        left = [cell for cell in cells if cell.key not in done]
        with progress.bar(study.name, total=sum(cell.cost for cell in left), unit="units") as bar:
            _run_cells(study, settings, left, file=file, done=done, bar=bar)
        finished = [done[cell.key] for cell in cells]
        return _write(study, settings, finished, preset=preset, folder=folder, command=command)


def read_study(study: Study, *, folder: Path) -> list[Row]:
    """The rows of the full-size study in `folder`, which is only read.

    Raises ConfigError where it is of other settings or not finished, ArtefactError where it is damaged.
    """
    kept = CellFile(folder / "cells.jsonl").read({"preset": "full", **asdict(study.full)})
    cells = study.cells(study.full)
    missing = [cell.key for cell in cells if cell.key not in kept]
    if missing:
        raise ConfigError(
            f"{folder} lacks {len(missing)} of {len(cells)} cells, such as '{missing[0]}'; "
            f"`autointerp synth {study.name} --preset full` goes on with it"
        )
    return _labelled([kept[cell.key] for cell in cells])


def _labelled(finished: Sequence[FinishedCell]) -> list[Row]:
    return [{"cell": cell.key, **row} for cell in finished for row in cell.rows]


def _run_cells(
    study: Study,
    settings: StudySettings,
    cells: Sequence[Cell],
    *,
    file: CellFile,
    done: dict[str, FinishedCell],
    bar: Bar,
) -> None:
    """Run the cells in turn; each is on disk and in `done` before the next."""
    passed = 0.0
    for cell in cells:
        bar.update(passed, note=cell.key)
        start = time.process_time()

        def tell(fraction: float, passed: float = passed, cell: Cell = cell) -> None:
            bar.update(passed + fraction * cell.cost, note=cell.key)

        rows = study.run(cell, settings, tell)
        done[cell.key] = FinishedCell(cell.key, time.process_time() - start, rows)
        file.append(done[cell.key])
        passed += cell.cost
        bar.update(passed, note=cell.key)


def _write(
    study: Study,
    settings: StudySettings,
    finished: Sequence[FinishedCell],
    *,
    preset: str,
    folder: Path,
    command: str,
) -> StudyResult:
    rows = _labelled(finished)
    cpu_s = sum(cell.cpu_s for cell in finished)
    write_csv(folder / f"{study.name}.csv", rows)
    with style():
        save_figure(study.figure(rows, settings), folder / f"{study.name}.png")
    text = render_document(study, rows, settings, preset=preset, command=command, cpu_s=cpu_s)
    temporary = folder / f"{study.name}.md.tmp"
    temporary.write_text(text)
    temporary.replace(folder / f"{study.name}.md")
    comparisons = study.comparisons(rows, settings)
    return StudyResult(
        study.name, folder, rows, sum(each.is_reproduced for each in comparisons), len(comparisons), cpu_s
    )


def _as_type_of(example: object, value: Any, *, key: str) -> Any:
    """The value as the setting's type; whole numbers may stand for fractions, lists for tuples."""
    if isinstance(example, tuple) and isinstance(value, list):
        return tuple(tuple(each) if isinstance(each, list) else each for each in value)
    if isinstance(example, float) and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if type(value) is not type(example):
        raise ConfigError(f"{key} = {value!r} must be of the form {example!r}")
    if isinstance(value, int) and not isinstance(value, bool) and value < 1:
        raise ConfigError(f"{key} = {value!r} must be at least 1")
    return value
