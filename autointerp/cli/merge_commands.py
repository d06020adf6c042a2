"""The command `merge`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from autointerp.cli.display import echo
from autointerp.runs.remote import open_run
from autointerp.stages.merge import Merge, merge_runs

__all__ = ["register"]

_N_NAMED = 8


def register(app: typer.Typer) -> None:
    app.command("merge")(merge)


def merge(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", parser=open_run, help="The run that receives the shards' journals.")
    ],
    others: Annotated[
        list[Path] | None,
        typer.Argument(metavar="OTHER_RUN...", parser=open_run, help="Run folders of shards made elsewhere."),
    ] = None,
    is_anew: Annotated[
        bool, typer.Option("--anew", help="Drop the explanations and verdicts merged before; replies stay.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Bring the shards of a run together; order and repetition do not matter."""
    merged = merge_runs(run, others or (), is_anew=is_anew)
    if as_json:
        echo(json.dumps(_to_json(merged), indent=2))
        return
    n = len(merged.sources)
    echo(f"{n} shard{'s' if n != 1 else ''} merged into {run}: {merged.n_changed:,} rows new or changed")
    for stage, shards in merged.missing.items():
        named = ", ".join(map(str, shards[:_N_NAMED])) + (" ..." if len(shards) > _N_NAMED else "")
        echo(f"{stage}: still to come: {named}")
    if "score" in merged.done:
        echo(f"all is scored; next: autointerp report {run}")
    elif "explain" in merged.done:
        missing = merged.missing["score"][0]
        echo(f"all is explained; next: autointerp score CONFIG --out {run} --shard {missing}, then merge again")


def _to_json(merged: Merge) -> dict[str, object]:
    return {
        "sources": [str(path) for path in merged.sources],
        "n_changed": merged.n_changed,
        "done": list(merged.done),
        "missing": {stage: [str(shard) for shard in shards] for stage, shards in merged.missing.items()},
    }
