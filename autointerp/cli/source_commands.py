"""Commands about the embedded default's sources: the builtin corpus and the builtin subject."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from autointerp.cli.display import echo
from autointerp.resources import resource
from autointerp.tensor_half import needs_tensor_half

__all__ = ["corpus", "subject_app"]

subject_app = typer.Typer(no_args_is_help=True, help="The embedded subject: train it anew, measure it.")

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def corpus(as_json: Json = False) -> None:
    """Show what the builtin corpus holds on this machine."""
    with needs_tensor_half("corpus"):
        from autointerp.subject.builtin.corpus import builtin_corpus_statistics
    found = builtin_corpus_statistics()
    if as_json:
        echo(json.dumps(asdict(found), indent=2))
        return
    echo(f"{found.n_documents:,} documents, {found.n_bytes / 1e6:.1f} MB, hash {found.corpus_hash}")
    for part, n_bytes in found.n_bytes_by_part.items():
        roles = ", ".join(f"{role} {n / 1e6:.2f}" for role, n in found.n_bytes_by_part_and_role[part].items())
        echo(f"  {part:<10} {found.n_documents_by_part[part]:>5,} documents {n_bytes / 1e6:6.2f} MB ({roles} MB)")


@subject_app.command("train")
def train(
    recipe: Annotated[Path | None, typer.Option(help="TOML recipe; default the committed one.")] = None,
    out: Annotated[Path, typer.Option(help="Folder of the trained model.")] = Path("results/runs/builtin_subject"),
    as_json: Json = False,
) -> None:
    """Train the embedded subject from its recipe; interrupted, the same command goes on."""
    with needs_tensor_half("subject train"):
        from autointerp.subject.builtin.recipe import load_subject_recipe
        from autointerp.subject.builtin.training import train_builtin_subject
    chosen = load_subject_recipe(recipe or resource("configs/builtin_subject.toml"))
    report = train_builtin_subject(chosen, out_folder=out, is_progress_shown=not as_json)
    _print(asdict(report), as_json)


@subject_app.command("evaluate")
def evaluate(
    folder: Annotated[Path | None, typer.Argument(help="Folder of the model; default the committed one.")] = None,
    as_json: Json = False,
) -> None:
    """Measure the embedded subject's held-out loss beside a Kneser-Ney trigram's on the same tokens."""
    with needs_tensor_half("subject evaluate"):
        from autointerp.subject.builtin.evaluation import evaluate_builtin_subject
    found = evaluate_builtin_subject(folder or resource("subjects/builtin"))
    _print(asdict(found) | {"stdlib_margin": found.stdlib_margin}, as_json)


def _print(facts: dict, as_json: bool) -> None:
    if as_json:
        echo(json.dumps(facts, indent=2))
        return
    for key, value in facts.items():
        if isinstance(value, dict):
            value = ", ".join(f"{name} {_short(item)}" for name, item in value.items())
        echo(f"{key}: {_short(value)}")


def _short(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)
