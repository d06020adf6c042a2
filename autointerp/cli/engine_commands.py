"""Commands about who does the work."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Annotated

import typer

from autointerp.cli.display import echo
from autointerp.cli.run_commands import RUNS, Address, EngineKind, Workers, engine_overrides
from autointerp.config.loading import load_config
from autointerp.engine.check import Finding, check_engine
from autointerp.runs.remote import open_out, reach_of
from autointerp.tables import Column, Page

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Who does the work: processes of this machine, or a Ray cluster.")


@app.callback()
def _only_subcommands() -> None:
    return


@app.command("check")
def check(
    config: Annotated[str | None, typer.Argument(help="A config whose engine and judges are meant.")] = None,
    engine: EngineKind = None,
    workers: Workers = None,
    address: Address = None,
    out: Annotated[Path, typer.Option(metavar="PATH", parser=open_out, help="Where runs will lie.")] = RUNS,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Tell what is there and what is missing, on this machine and at every worker; exit code 2 where something is."""
    tree = load_config(config or "demo", engine_overrides(engine, workers, address))
    variables = sorted({str(name) for each in tree.judges.values() if (name := each.get("key_env"))})
    findings = check_engine(tree.engine, out, variables, reach=reach_of(out))
    if as_json:
        echo(json.dumps([finding._asdict() for finding in findings], indent=2))
    else:
        echo(_drawn(findings), nl=False)
    if any(finding.state == "missing" for finding in findings):
        raise typer.Exit(2)


def _drawn(findings: list[Finding]) -> str:
    page = Page(shutil.get_terminal_size().columns)
    page.table([Column(""), Column("state"), Column("detail", can_wrap=True, is_text=True)], findings, gap=2)
    return page.text()
