"""Making the embedded subject anew and measuring it: `python -m subjects.training`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from autointerp.errors import AutointerpError
from subjects.training.evaluation import evaluate_builtin_subject
from subjects.training.recipe import RECIPE, load_subject_recipe
from subjects.training.trainer import train_builtin_subject

app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help="The embedded subject."
)

WEIGHTS = Path(__file__).resolve().parents[1] / "builtin"


@app.command("train")
def train(
    recipe: Annotated[Path, typer.Option(help="TOML recipe.")] = RECIPE,
    out: Annotated[Path, typer.Option(help="Folder of the trained model.")] = Path("results/runs/builtin_subject"),
) -> None:
    """Train it from its recipe; interrupted, the same command goes on."""
    report = train_builtin_subject(load_subject_recipe(recipe), out_folder=out)
    typer.echo(json.dumps(asdict(report), indent=2))


@app.command("evaluate")
def evaluate(folder: Annotated[Path, typer.Argument(help="Folder of the model.")] = WEIGHTS) -> None:
    """Measure its held-out loss beside a Kneser-Ney trigram's on the same tokens."""
    evaluation = evaluate_builtin_subject(folder)
    typer.echo(json.dumps(asdict(evaluation) | {"stdlib_margin": evaluation.stdlib_margin}, indent=2))


if __name__ == "__main__":
    try:
        app()
    except AutointerpError as error:
        raise SystemExit(f"error: {error}") from None
