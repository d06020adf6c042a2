"""Commands that list released dictionaries, and import, inspect and export dictionary files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from autointerp.board import quality_table
from autointerp.cli.display import echo
from autointerp.errors import ConfigError
from autointerp.pretrained.releases import named_releases
from autointerp.runs.layout import RunLayout
from autointerp.runs.remote import open_run
from autointerp.safe_text import safe_line
from autointerp.tensor_half import needs_tensor_half

__all__ = ["app"]

app = typer.Typer(
    no_args_is_help=True,
    help="Dictionaries: list released ones, import, inspect and export files, show the quality of a run's.",
)

FORMATS = (
    "auto, saelens, sparsify, dictionary_learning, gemma_scope, openai, gemma_scope_2, llama_scope, qwen_scope, "
    "goodfire, circuit_tracer"
)
EXPORT_FORMATS = "saelens, sparsify"

Source = Annotated[Path, typer.Argument(help="Directory or file of a saved dictionary.", show_default=False)]
Destination = Annotated[Path, typer.Argument(help="Directory to write; new or empty.", show_default=False)]
Format = Annotated[str, typer.Option("--format", metavar="FORMAT", help=f"One of {FORMATS}.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("list")
def list_all(as_json: Json = False) -> None:
    """List the released dictionaries that a config takes by name (kind = "release"): subject, site, layers, options."""
    releases = named_releases().values()
    if as_json:
        echo(json.dumps([release.to_json() for release in releases], indent=2))
        return
    for release in releases:
        echo(f"{release.name}: {release.in_short()}")
        echo(f"  {release.repository}, {release.layout}; {release.licence or 'for its licence see the repository'}")


@app.command("import")
def import_(source: Source, dest: Destination, format: Format = "auto", as_json: Json = False) -> None:
    """Import another tool's dictionary into this project's format; the file's format is found by content."""
    with needs_tensor_half("dictionaries import"):
        from sae_core.checkpoint import save_dictionary
        from sae_core.description import kind_of
        from sae_core.inspection import OWN_FORMAT, open_dictionary
    _require_free(dest)
    opened = open_dictionary(source, format=format)
    if opened.format == OWN_FORMAT:
        raise ConfigError(f"{source} is in this project's format already; give it as it is: path = '{source}'")
    origin = {"format": opened.format, "architecture": opened.architecture, "notes": list(opened.notes)}
    save_dictionary(opened.dictionary, dest, metadata={**opened.metadata, "imported_from": origin})
    facts = {
        "source": str(source),
        "dest": str(dest),
        **origin,
        "kind": kind_of(opened.dictionary),
        "d_in": opened.dictionary.d_in,
        "n_features": opened.dictionary.n_features,
    }
    if as_json:
        echo(json.dumps(facts, indent=2))
        return
    echo(
        f"{dest}: {facts['kind']}, {facts['n_features']:,} features over {facts['d_in']:,} inputs "
        f"(from {opened.format}, {opened.architecture})"
    )
    for note in opened.notes:
        echo(safe_line(f"note: {note}"))


@app.command("inspect")
def inspect(path: Source, format: Format = "auto", as_json: Json = False) -> None:
    """Describe a dictionary file, ours or another tool's: format, sizes, rules, norms, degenerate rows, metadata."""
    with needs_tensor_half("dictionaries inspect"):
        from sae_core.inspection import inspect_dictionary
    facts = inspect_dictionary(path, format=format)
    if as_json:
        echo(json.dumps(facts, indent=2))
        return
    notes = facts.pop("notes")
    metadata = facts.pop("metadata")
    for key, value in facts.items():
        echo(safe_line(f"{key:<24} {_shown(value)}"))
    for key, value in metadata.items():
        echo(safe_line(f"{'metadata.' + key:<24} {_shown(value)}"))
    for note in notes:
        echo(safe_line(f"note: {note}"))


@app.command("export")
def export(
    directory: Source,
    dest: Destination,
    format: Annotated[str, typer.Option("--format", metavar="FORMAT", help=f"One of {EXPORT_FORMATS}.")],
) -> None:
    """Write a dictionary for another tool; what its format cannot express is refused."""
    with needs_tensor_half("dictionaries export"):
        from sae_core.foreign.writing import export_dictionary
        from sae_core.inspection import open_dictionary
    _require_free(dest)
    opened = open_dictionary(directory)
    export_dictionary(opened.dictionary, dest, format=format, metadata=opened.metadata)
    echo(f"{dest}: {format}, {opened.dictionary.n_features:,} features over {opened.dictionary.d_in:,} inputs")


@app.command("quality")
def quality(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", parser=open_run, help="A run's directory or address.", show_default=False)
    ],
    format: Annotated[str, typer.Option("--format", help=f"One of {', '.join(quality_table.FORMATS)}.")] = "table",
) -> None:
    """Show how well the dictionaries of a run reconstruct: L0, explained variance, loss recovered, dead features."""
    if format not in quality_table.FORMATS:
        raise ConfigError(f"--format '{format}' is unknown; use one of {', '.join(quality_table.FORMATS)}")
    echo(quality_table.render_quality(quality_table.read_quality(RunLayout(run)), format))


def _require_free(dest: Path) -> None:
    if dest.is_file() or (dest.is_dir() and any(dest.iterdir())):
        raise ConfigError(f"{dest} exists and is not empty; give a new directory, or remove it first")


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_shown(item)}" for key, item in value.items())
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else str(value)
