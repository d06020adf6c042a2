"""Commands about the config itself: write one to start from, explain its keys."""

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
    """Add this module's commands to the application."""
    app.command("init")(init)
    app.command("config")(config)


def init(
    file: Annotated[Path, typer.Argument(help="Where to write it.")] = Path("autointerp.toml"),
    recipe: Annotated[str, typer.Option(help="The recipe or TOML file whose values it has.")] = "own_sae",
) -> None:
    """Write a commented config to start from: a recipe's values, every other key beside them with its default."""
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
    """Explain the keys of a config: type, default, what each is."""
    sections = list(iter_sections())
    if section is not None:
        names = [found.name for found in sections if found.name]
        sections = [found for found in sections if found.name == section]
        place, _, component = section.rpartition(".")
        if not sections and place in COMPONENTS:
            sections = [component_section(place, component)]
        if not sections:
            raise ConfigError(f"config {section}: there is no such section; there are {', '.join(names)}")
    echo(render_reference(sections), nl=False)
