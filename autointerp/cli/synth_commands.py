"""The command `synth`."""

from __future__ import annotations

import json
import tomllib
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

from autointerp.cli.display import TerminalProgress, echo
from autointerp.errors import ConfigError
from autointerp.progress import SilentProgress
from autointerp.tensor_half import needs_tensor_half

__all__ = ["register"]

FOLDERS = {"full": Path("results/synth"), "quick": Path("results/runs/synth")}


def register(app: typer.Typer) -> None:
    app.command("synth")(synth)


def synth(
    study: Annotated[str, typer.Argument(metavar="STUDY", help="A study's name, 'all', or 'list'.")],
    preset: Annotated[str, typer.Option(help="quick: minutes on a laptop; full: the paper's size.")] = "quick",
    out: Annotated[
        Path | None, typer.Option(help="Folder; each study gets one in it. Default results/synth, quick results/runs.")
    ] = None,
    n_seeds: Annotated[int | None, typer.Option("--seeds", metavar="N", help="Seeds per cell.")] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a setting, TOML value.")
    ] = None,
    fresh: Annotated[bool, typer.Option(help="Delete the cells that are done and start anew.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, no progress.")] = False,
) -> None:
    """Run a study on synthetic data with known features: csv, md and png each; after an interruption, the same command
    goes on."""
    from synthetic_studies.registry import STUDIES, open_study

    if study == "list":
        _list(STUDIES, as_json)
        return
    names = list(STUDIES) if study == "all" else [study]
    given = dict(_setting(text) for text in overrides or [])
    if n_seeds is not None:
        given["n_seeds"] = n_seeds
    with needs_tensor_half("synth"):
        from synthetic_studies.runner import choose_settings, run_study

        studies = [open_study(name) for name in names]
        # Needed only at the end of the first study: better known missing before it starts.
        import_module("matplotlib")
    chosen = [choose_settings(each, preset=preset, overrides=given) for each in studies]
    progress = SilentProgress() if as_json else TerminalProgress()
    results = []
    for each, settings in zip(studies, chosen, strict=True):
        result = run_study(
            each,
            settings,
            preset=preset,
            folder=(out or FOLDERS[preset]) / each.name,
            command=_command(each.name, preset, given),
            is_fresh=fresh,
            progress=progress,
        )
        results.append(result)
        if not as_json:
            echo(_line(result))
    if as_json:
        echo(json.dumps([_facts(result) for result in results], indent=2))


def _list(studies: dict[str, str], as_json: bool) -> None:
    if as_json:
        echo(json.dumps(studies, indent=2))
        return
    width = max(map(len, studies))
    for name, asks in studies.items():
        echo(f"{name:<{width}}  {asks}")


def _facts(result: Any) -> dict[str, Any]:
    facts = {key: value for key, value in vars(result).items() if key != "rows"}
    return {**facts, "folder": str(result.folder), "n_rows": result.n_rows}


def _line(result: Any) -> str:
    agreed = f"{result.n_reproduced} of {result.n_compared} published values reproduced, " if result.n_compared else ""
    return f"{result.name}: {agreed}{result.n_rows:,} rows, {result.cpu_s:,.0f} CPU s: {result.folder}"


def _command(name: str, preset: str, overrides: dict[str, Any]) -> str:
    settings = "".join(f" --set {key}={json.dumps(value)}" for key, value in overrides.items())
    return f"autointerp synth {name} --preset {preset}{settings}"


def _setting(text: str) -> tuple[str, Any]:
    key, separator, literal = text.partition("=")
    if not separator:
        raise ConfigError(f"--set '{text}' is not of the form KEY=VALUE")
    try:
        return key, tomllib.loads(f"value = {literal}")["value"]
    except tomllib.TOMLDecodeError:
        return key, literal
