"""Commands that show runs: leaderboard, compare, report, site, serve."""

from __future__ import annotations

import filecmp
import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from autointerp import pipeline
from autointerp.board.comparison import COMPARED, compare_runs, compare_within, find_unpaired, render_comparisons
from autointerp.board.foreign.reading import read_foreign
from autointerp.board.leaderboard import FORMATS, render_leaderboard
from autointerp.board.pareto import render_pareto
from autointerp.board.protocol import differences, protocol_of
from autointerp.board.standing import build_sections
from autointerp.cli.display import TerminalProgress, echo, tell
from autointerp.cli.rating import rating_config
from autointerp.errors import ConfigError
from autointerp.run import Run
from autointerp.runs.digests import require_files
from autointerp.runs.layout import RunLayout
from autointerp.runs.manifest import load_run_config
from autointerp.runs.remote import open_out, open_run
from autointerp.safe_text import safe_tree
from autointerp.serving.starting import serve_runs
from autointerp.site.building import build_site
from autointerp.site.gathering import gather_runs

__all__ = ["echo_leaderboard", "register"]

RunPath = Annotated[Path, typer.Argument(metavar="RUN", parser=open_run, help="A run's directory or address.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def register(app: typer.Typer) -> None:
    for command in (leaderboard, compare, report, site, serve):
        app.command(command.__name__)(command)


def leaderboard(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", parser=open_run, help="Runs, or folders of runs.")],
    format: Annotated[str, typer.Option("--format", help=f"One of {', '.join(FORMATS)}.")] = "table",
    is_together: Annotated[
        bool, typer.Option("--together", help="Rank what is not comparable, too, and say what differs.")
    ] = False,
    is_explained: Annotated[bool, typer.Option("--explain", help="Say below the table what its columns mean.")] = False,
    pareto: Annotated[bool, typer.Option("--pareto", help="Against loss recovered, L0 and cost instead.")] = False,
    foreign: Annotated[
        list[str] | None,
        typer.Option(
            "--with", metavar="TOOL:PATH", help="Results of other tools, never ranked with ours: delphi:, saebench:."
        ),
    ] = None,
) -> None:
    """Rank the entries of one or several runs, every score with its interval and its chance line."""
    gathered = gather_runs(runs)
    named = [run.summary | ({"run": label} if len(gathered) > 1 else {}) for label, run in gathered.items()]
    summaries = named + [read_foreign(spec) for spec in foreign or []]
    if pareto:
        echo(render_pareto(build_sections(summaries, is_together=is_together)))
        return
    echo_leaderboard(summaries, format, is_together=is_together, is_explained=is_explained)


def echo_leaderboard(
    summaries: Sequence[Mapping[str, Any]],
    format: str = "table",
    *,
    is_together: bool = False,
    is_explained: bool = False,
) -> None:
    """Print the board as wide as the terminal, coloured on a terminal."""
    width = shutil.get_terminal_size((100, 24)).columns
    has_colour = format == "table" and _is_terminal()
    safe = [safe_tree(summary) for summary in summaries]
    text = render_leaderboard(
        safe, format, width=width, has_colour=has_colour, is_together=is_together, is_explained=is_explained
    )
    echo(text, has_colour=has_colour)


def _is_terminal() -> bool:
    return sys.stdout.isatty()


def compare(
    first: Annotated[
        Path, typer.Argument(metavar="RUN_A", parser=open_run, help="A run, or one entry of it: RUN_A/ENTRY.")
    ],
    second: Annotated[
        Path | None, typer.Argument(metavar="RUN_B", parser=open_run, help="Left out: RUN_A's own entries.")
    ] = None,
    metric: Annotated[str, typer.Option(help=f"One of {', '.join(COMPARED)}; 'score' is each scorer's own.")] = "score",
    margin: Annotated[
        float | None, typer.Option(metavar="M", help="Test, too, whether each difference lies within M.")
    ] = None,
    by: Annotated[
        str, typer.Option(help="Within one run: 'dictionary', or 'explainer' (paired by feature).")
    ] = "dictionary",
    as_json: Json = False,
) -> None:
    """Show differences between entries with intervals: paired if the evidence is the same, corrected for their
    number."""
    if metric not in COMPARED:
        raise ConfigError(f"--metric {metric}: no such metric; use one of {', '.join(COMPARED)}")
    if by not in ("dictionary", "explainer"):
        raise ConfigError(f"--by {by}: must be dictionary or explainer")
    if margin is not None and margin <= 0:
        raise ConfigError(f"--margin {margin:g}: must be above 0, such as 0.05")
    a, entry = _run_and_entry(first)
    seed = a.config.seed
    if second is None:
        if entry is not None:
            raise ConfigError(f"{first} is one entry: name another run, or an entry of one, to compare it with")
        rows = compare_within(a.scores, metric=metric, seed=seed, margin=margin, by=by)
    else:
        b, other = _run_and_entry(second)
        labels = (a.path.name, b.path.name)
        first_entry, second_entry = entry or other, other or entry
        entries = (first_entry, second_entry) if first_entry and second_entry else None
        mine, theirs = a.scores, b.scores
        shared = {f.stem for f in a.layout.evidence.glob("*.parquet") if _is_same(a.layout, b.layout, f.stem)}
        rows = compare_runs(
            mine, theirs, labels=labels, entries=entries, shared=shared, metric=metric, seed=seed, margin=margin
        )
        for line in find_unpaired(mine, theirs, labels=labels, entries=entries):
            tell(f"note: {line}; left out")
        if not as_json:
            _note_differences(a.summary, b.summary)
    echo(json.dumps([asdict(row) for row in rows], indent=2) if as_json else render_comparisons(rows))


def _run_and_entry(path: Path) -> tuple[Run, str | None]:
    """A run, or the run above with one of its entries. Raises ConfigError for an entry there is not."""
    if path.is_dir() or not RunLayout(path.parent).is_run():
        return Run(path), None
    run = Run(path.parent)
    names = [entry.name for entry in run.config.dictionaries]
    if path.name not in names:
        raise ConfigError(f"{path}: {run.path} has no entry '{path.name}'; it has {', '.join(names)}")
    return run, path.name


def _note_differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> None:
    theirs = {(e["scorer"], e["explainer"]): protocol_of(e) for e in second["entries"]}
    seen = set()
    for entry in first["entries"]:
        key = (entry["scorer"], entry["explainer"])
        differing = differences(protocol_of(entry), theirs[key]) if key in theirs and key not in seen else []
        seen.add(key)
        if differing:
            echo(f"note: {key[0]} of {key[1]} was not asked alike: {'; '.join(differing)}")


def _is_same(first: RunLayout, second: RunLayout, dictionary: str) -> bool:
    a, b = first.evidence_file(dictionary), second.evidence_file(dictionary)
    if not b.is_file():
        return False
    require_files(first, a)
    require_files(second, b)
    return filecmp.cmp(a, b, shallow=False)


def report(run: RunPath) -> None:
    """Build scores, summary and page anew from the run's evidence and journal."""
    layout = RunLayout(run)
    pipeline.run(load_run_config(layout), out=run, first="report", progress=TerminalProgress())
    echo(layout.report)


def site(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", parser=open_run, help="Runs, or folders of runs.")],
    out: Annotated[Path, typer.Option(help="Folder for the site; an earlier site in it is replaced.")],
    title: Annotated[str, typer.Option(help="Heading of the site.")] = "Leaderboard",
) -> None:
    """Write the board of runs and every feature of them as a folder that opens from disk and can be hosted anywhere."""
    build_site(gather_runs(runs), out, title=title, progress=TerminalProgress())
    echo(out / "index.html")


def serve(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN...", parser=open_run, help="Runs, or folders of runs, also at work.")
    ],
    port: Annotated[int, typer.Option(min=0, max=65535)] = 8000,
    title: Annotated[str, typer.Option(help="Heading of the pages.")] = "Leaderboard",
    rater: Annotated[
        str | None,
        typer.Option("--rate", metavar="NAME", help="Let a person answer what the judge was asked, as human:NAME."),
    ] = None,
    is_rubric: Annotated[
        bool, typer.Option("--rubric", help="With --rate: ask for points by the rubric of Bricken et al. 2023 instead.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(metavar="PATH", parser=open_out, help="With --rate: directory or address of the ratings' run."),
    ] = None,
) -> None:
    """Serve the site of runs on this machine only, until interrupted: with it try texts, steer, and follow runs."""
    if rater is None:
        if is_rubric:
            raise ConfigError("--rubric: say who rates, with --rate NAME")
        gathered = gather_runs(runs, has_begun=True)
        serve_runs(
            gathered,
            port=port,
            title=title,
            progress=TerminalProgress(),
            on_ready=lambda address: echo(f"{address} (Ctrl-C stops)"),
        )
        return
    if len(runs) > 1:
        raise ConfigError(f"--rate {rater}: one run is rated at a time; name one")
    (run,) = runs
    folder = out or run.parent / f"{run.name}_{'rubric' if is_rubric else 'human'}_{rater}"
    config = rating_config(RunLayout(run), rater, name=folder.name, port=port, is_rubric=is_rubric)
    echo(f"http://127.0.0.1:{port}/ (Ctrl-C stops; the same command goes on)")
    pipeline.rescore(run, config, out=folder, progress=TerminalProgress())
    echo(
        f"{folder}: `autointerp leaderboard {folder}` has the points of each dictionary"
        if is_rubric
        else f"{folder}: compare with `autointerp judges agree {run} {folder}`"
    )
