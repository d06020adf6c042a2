"""Commands that import other tools' evidence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from autointerp.cli.display import TerminalProgress, echo
from autointerp.progress import SilentProgress
from autointerp.runs.remote import open_out
from autointerp.tensor_half import needs_tensor_half

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Evidence: bring in what delphi, Neuronpedia or SAEDashboard kept.")


@app.command("import")
def import_(
    source: Annotated[Path, typer.Argument(metavar="SOURCE", help="Folder or file of the other tool.")],
    out: Annotated[Path, typer.Option(metavar="PATH", parser=open_out, help="Directory or address of the new run.")],
    format: Annotated[str, typer.Option("--format", metavar="FORMAT", help="auto, delphi or neuronpedia.")] = "auto",
    tokenizer: Annotated[
        str | None, typer.Option(metavar="NAME", help="delphi: the model's name or directory; default what it says.")
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a config key, TOML value.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, no progress.")] = False,
) -> None:
    """Make a run of features that another tool cached, to explain and score without their model."""
    with needs_tensor_half("evidence import"):
        from autointerp.stages.evidence_import import import_evidence
    progress = SilentProgress() if as_json else TerminalProgress()
    imported = import_evidence(
        source, out=out, format=format, tokenizer=tokenizer, overrides=overrides or [], progress=progress
    )
    if as_json:
        facts = [{"name": e.name, "n_features": len(e.evidence), "lacks": list(e.lacks)} for e in imported]
        echo(json.dumps({"run": str(out), "dictionaries": facts}, indent=2))
        return
    for each in imported:
        n_unscored = sum(row.unscored is not None for row in each.evidence)
        note = f", {n_unscored} of them cannot be scored" if n_unscored else ""
        echo(f"{each.name}: evidence about {len(each.evidence):,} features{note}")
    for line in dict.fromkeys(line for each in imported for line in each.lacks):
        echo(f"lacks: {line}")
    echo(f"{out}: `autointerp rescore {out} --out NEW --set explain.judge=JUDGE --set score.judge=JUDGE` asks a judge")
