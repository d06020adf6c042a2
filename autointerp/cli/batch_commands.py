"""Commands that ask judges by files: batch export, submit and import."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from autointerp import pipeline
from autointerp.batch.closing import close_stage
from autointerp.batch.exporting import Exported, export_round, next_stage
from autointerp.batch.importing import Imported, import_results
from autointerp.batch.request_files import MAX_BYTES, MAX_REQUESTS, FileLimits
from autointerp.batch.submitting import POLL_S, submit_round
from autointerp.cli.display import TerminalProgress, echo
from autointerp.config.loading import render_override
from autointerp.config.tree import Config
from autointerp.progress import Progress, SilentProgress
from autointerp.runs.layout import RunLayout
from autointerp.runs.log import LoggedProgress
from autointerp.runs.manifest import load_run_config, read_manifest
from autointerp.runs.remote import open_run

__all__ = ["app"]

app = typer.Typer(
    no_args_is_help=True,
    help="Ask by files: a Batch API at half the price, or vllm run-batch. Explaining and scoring are two rounds.",
)

Run = Annotated[Path, typer.Argument(metavar="RUN", parser=open_run, help="A run's directory or address, harvested.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, no progress.")]
Cache = Annotated[Path | None, typer.Option(help="Directory of the reply cache that runs share.")]

_ROWS = {
    "lines read": "n_read",
    "new replies": "n_new",
    "known before": "n_known",
    "duplicates": "n_duplicates",
    "failed": "n_failed",
    "never sent": "n_unsent",
    "foreign": "n_foreign",
    "malformed": "n_malformed",
    "still missing": "n_missing",
}


@app.command("export")
def export(
    run: Run,
    file_requests: Annotated[int, typer.Option(help="Most requests in one file.")] = MAX_REQUESTS,
    file_bytes: Annotated[int, typer.Option(help="Most bytes in one file.")] = MAX_BYTES,
    give_up: Annotated[
        bool, typer.Option(help="First finish the stage with the answers there are; the rest counts as errors.")
    ] = False,
    cache: Cache = None,
    as_json: Json = False,
) -> None:
    """Write the next stage's unanswered questions into RUN/batch; nothing is sent.

    A stage with all answers is finished first, so after the answers of explaining the same command writes the questions
    of scoring.
    """
    limits, layout = FileLimits(file_requests, file_bytes), RunLayout(run)
    progress = _progress(layout, as_json)
    while (stage := next_stage(layout)) is not None:
        config = _config(layout, cache=cache)
        if give_up:
            n_missing, give_up = close_stage(config, layout, stage, progress=progress), False
            progress.say(f"{stage}: finished with {n_missing:,} requests unanswered")
            continue
        exported = export_round(config, layout, stage, limits=limits, progress=progress)
        if not exported.is_complete:
            echo(json.dumps(_exported_to_json(exported, layout), indent=2) if as_json else _told(exported, layout))
            return
        pipeline.run(config, out=run, last=stage, progress=progress)
    text = f"nothing is left to ask; `autointerp run {layout.config} --out {run}` writes scores and report"
    echo(json.dumps({"stage": None, "n_requests": 0, "files": []}, indent=2) if as_json else text)


@app.command("submit")
def submit(
    run: Run,
    detach: Annotated[bool, typer.Option(help="Leave once the batches are begun; the same command watches them.")] = (
        False
    ),
    poll_s: Annotated[float, typer.Option(min=0.01, help="Seconds between two looks.")] = POLL_S,
    max_usd: Annotated[float | None, typer.Option(help="Begin no batch that could go beyond this.")] = None,
    max_requests: Annotated[int | None, typer.Option(help="Begin no batch that would go beyond this.")] = None,
    cache: Cache = None,
    as_json: Json = False,
) -> None:
    """Upload the exported files, wait for the batches and import the results; after a kill, the same command goes
    on."""
    layout = RunLayout(run)
    progress = _progress(layout, as_json)
    config = _config(layout, max_usd=max_usd, max_requests=max_requests, cache=cache)
    done = submit_round(config, layout, is_detached=detach, poll_s=poll_s, progress=progress)
    if as_json:
        echo(json.dumps(asdict(done), indent=2))
        return
    for name, (batch, status) in done.batches.items():
        echo(f"{name}: batch {batch} {status}")
    if done.is_waiting:
        echo(f"next: `autointerp batch submit {run}` watches them and imports the results")
    else:
        echo(_table(done.imported, run))


@app.command("import")
def import_files(
    run: Run,
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Result and error files, .gz or not.")],
    cache: Cache = None,
    as_json: Json = False,
) -> None:
    """Add result files to the run's journal, in any order and repeatedly; damaged and foreign lines are reported."""
    layout = RunLayout(run)
    progress = _progress(layout, as_json)
    imported = import_results(_config(layout, cache=cache), layout, files, progress=progress)
    echo(json.dumps(asdict(imported), indent=2) if as_json else _table(imported, run))


def _progress(layout: RunLayout, as_json: bool) -> Progress:
    read_manifest(layout)  # a log is for runs only
    return LoggedProgress(SilentProgress() if as_json else TerminalProgress(), layout)


def _config(layout: RunLayout, *, cache: Path | None = None, **limits: float | None) -> Config:
    said = [f"limits.{key}={value}" for key, value in limits.items() if value is not None]
    if cache is not None:
        said.append(render_override("limits.cache", str(cache)))
    return load_run_config(layout, said)


def _told(exported: Exported, layout: RunLayout) -> str:
    stage = {"explain": "explaining", "score": "scoring"}[exported.stage]
    lines = []
    if exported.round_ is not None:
        n, number = exported.n_requests, exported.round_.number
        lines.append(f"round {number} of {stage}: {_composition(exported)}, {exported.n_known:,} answered before")
        for file in exported.round_.files:
            bound = "price unknown" if file.bound_usd is None else f"at most ${file.bound_usd:.2f}"
            path = layout.batch / exported.round_.name / file.name
            lines.append(f"{path}: {file.n_requests:,} requests, {file.n_bytes / 1e6:.1f} MB, {bound}")
        lines.append(f"next: `autointerp batch submit {layout.root}`, or have the {n:,} answered elsewhere and import")
    if exported.n_in_flight:
        lines.append(f"{exported.n_in_flight:,} requests of {stage} are under way; `batch submit` watches them")
    if exported.n_unsendable:
        lines.append(
            f"{exported.n_unsendable:,} requests cannot be put into a file ({exported.why_unsendable}); "
            f"`autointerp {exported.stage} {layout.config} --out {layout.root}` asks them"
        )
    return "\n".join(lines)


def _composition(exported: Exported) -> str:
    n_first = exported.n_requests - exported.n_again - exported.n_follow_ups
    parts = (
        (n_first, "requests"),
        (exported.n_follow_ups, "re-asks"),
        (exported.n_again, "asked again after no answer"),
    )
    return ", ".join(f"{n:,} {words}" for n, words in parts if n)


def _exported_to_json(exported: Exported, layout: RunLayout) -> dict[str, Any]:
    content = asdict(exported) | {"n_requests": exported.n_requests, "files": []}
    del content["round_"]
    if exported.round_ is not None:
        content["round"] = exported.round_.number
        content["files"] = [
            file.model_dump(include={"n_requests", "n_bytes", "sha256", "bound_usd"})
            | {"path": str(layout.batch / exported.round_.name / file.name)}
            for file in exported.round_.files
        ]
    return content


def _table(imported: Imported, run: Path) -> str:
    counts = asdict(imported)
    lines = [f"{label:<14} {counts[column]:>9,}" for label, column in _ROWS.items()]
    price = f"${imported.usd:.4f}" + (f", {imported.n_unpriced:,} without a price" if imported.n_unpriced else "")
    lines.append(f"{'cost':<14} {price:>9}")
    lines += imported.told
    lines.append(
        f"next: `autointerp batch export {run}` for {'what is missing' if imported.n_missing else 'the next round'}"
    )
    return "\n".join(lines)
