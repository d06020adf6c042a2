"""Commands about judges: what there is, and whether one keeps the contract."""

from __future__ import annotations

import asyncio
import json
import tomllib
from dataclasses import asdict
from typing import Annotated, Any

import typer

from autointerp.errors import ConfigError
from autointerp.judges.contract import check_judge
from autointerp.judges.registry import list_judges, open_judge

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Judges: list them, check that one keeps the contract.")

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("list")
def list_all(as_json: Json = False) -> None:
    """List the judges that are built in or installed; none is imported."""
    listings = list_judges()
    if as_json:
        typer.echo(json.dumps([asdict(listing) for listing in listings], indent=2))
        return
    width = max(len(listing.name) for listing in listings)
    for listing in listings:
        typer.echo(f"{listing.name:<{width}}  {listing.distribution}  {listing.target}")


@app.command("check")
def check(
    judge: Annotated[str, typer.Argument(help="NAME or NAME:MODEL.")],
    options: Annotated[list[str] | None, typer.Option("--option", metavar="KEY=VALUE", help="Judge option.")] = None,
    as_json: Json = False,
) -> None:
    """Put a dozen small questions to a judge and say what of the contract it keeps; exit 3 when it fails."""
    results = asyncio.run(check_judge(open_judge(judge, dict(_option(text) for text in options or []))))
    if as_json:
        typer.echo(json.dumps([asdict(result) for result in results], indent=2))
    else:
        for result in results:
            mark = {True: "ok  ", False: "FAIL", None: "-   "}[result.is_passed]
            typer.echo(f"{mark} {result.name}: {result.detail}")
    if any(result.is_passed is False for result in results):
        raise typer.Exit(3)


def _option(text: str) -> tuple[str, Any]:
    key, separator, literal = text.partition("=")
    if not separator:
        raise ConfigError(f"--option '{text}' is not of the form KEY=VALUE")
    try:
        return key, tomllib.loads(f"value = {literal}")["value"]
    except tomllib.TOMLDecodeError:
        return key, literal
