"""The command `export`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
import pyarrow.parquet as pq
import typer

from autointerp.board.foreign.run_records import RunRecords
from autointerp.board.foreign.writing import WRITERS
from autointerp.cli.display import echo
from autointerp.errors import ConfigError
from autointerp.run import Run
from autointerp.runs.digests import require_files
from autointerp.runs.layout import RunLayout, write_atomically
from autointerp.runs.remote import open_run, writing
from autointerp.score.opening import open_scorer
from autointerp.score.presets import apply_preset

__all__ = ["register"]

TARGETS = ("parquet", *WRITERS)


def register(app: typer.Typer) -> None:
    app.command("export")(export)


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", parser=open_run, help="A run's directory or address.")],
    to: Annotated[str, typer.Option("--to", help=f"One of {', '.join(TARGETS)}.")],
    out: Annotated[Path | None, typer.Option(help="Folder; default RUN/export/TARGET.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the paths as JSON.")] = False,
) -> None:
    """Write a run's results as parquet tables, or for delphi, Neuronpedia, SAEBench or circuit-tracer's page."""
    if to not in TARGETS:
        raise ConfigError(f"--to {to}: no such format; use one of {', '.join(TARGETS)}")
    source = Run(run)
    folder = out or source.path / "export" / to
    records = _records(source)
    with writing(source.path) if out is None else nullcontext():
        written = _write_tables(source.layout, records, folder) if to == "parquet" else WRITERS[to](records, folder)
    if as_json:
        echo(json.dumps([str(path) for path in written], indent=1))
    else:
        echo(f"{folder}: {len(written):,} files for {to}")


def _records(run: Run) -> RunRecords:
    config = apply_preset(run.config)
    with run.open_journal() as journal:
        explanations, verdicts = journal.load_explanations(), journal.load_verdicts()
    scorers = [open_scorer(entry, config.score) for entry in config.score.scorers]
    return RunRecords(
        name=config.name,
        subject=Path(config.subject.model).name,
        explain_judge=config.explain.judge,
        evidences=run.evidence(),
        explanations=explanations,
        verdicts=verdicts,
        measures={scorer.name: scorer.scale.measure for scorer in scorers},
    )


def _write_tables(layout: RunLayout, records: RunRecords, folder: Path) -> list[Path]:
    """Tables `scores`, `explanations` and `verdicts`; evidence is parquet already."""
    require_files(layout, layout.scores)
    scores = folder / "scores.parquet"
    write_atomically(scores, lambda temporary: shutil.copyfile(layout.scores, temporary))
    return [
        scores,
        _table(folder / "explanations.parquet", (asdict(e) for e in records.explanations)),
        _table(folder / "verdicts.parquet", (asdict(v) for v in records.verdicts)),
    ]


def _table(path: Path, rows: Iterable[dict[str, Any]]) -> Path:
    table = pa.Table.from_pylist(list(rows))
    write_atomically(
        path, lambda temporary: pq.write_table(table, temporary, compression="zstd", write_page_checksum=True)
    )
    return path
