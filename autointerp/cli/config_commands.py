"""Commands that write a config and explain its keys."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from autointerp.cli.config_reference import (
    COMPONENTS,
    commented_config,
    component_section,
    iter_sections,
    render_reference,
)
from autointerp.cli.display import echo
from autointerp.config.loading import read_tree
from autointerp.errors import ConfigError
from autointerp.runs.layout import write_text

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    app.command("init")(init)
    app.command("config")(config)


def init(
    file: Annotated[Path, typer.Argument(help="Where to write it.")] = Path("autointerp.toml"),
    recipe: Annotated[str, typer.Option(help="The recipe or TOML file whose values it has.")] = "own_sae",
) -> None:
    """Write a commented config to start from: a recipe's values, and every other key with its default."""
    if file.exists():
        raise ConfigError(f"{file} exists and is not overwritten; name another file, or remove it first")
    write_text(file, commented_config(read_tree(recipe)))
    echo(f"{file}: edit it, then `autointerp plan {file}` and `autointerp run {file}`")


def config(
    section: Annotated[
        str | None,
        typer.Argument(help="A part of it, such as harvest, score.scorers.NAME or judges.openai."),
    ] = None,
) -> None:
    """Explain the keys of a config: type, default and meaning."""
    sections = list(iter_sections())
    if section is not None:
        names = [part.name for part in sections if part.name]
        sections = [part for part in sections if part.name == section]
        place, _, component = section.rpartition(".")
        if not sections and place in COMPONENTS:
            sections = [component_section(place, component)]
        if not sections:
            raise ConfigError(f"config {section}: there is no such section; there are {', '.join(names)}")
    echo(render_reference(sections), nl=False)
