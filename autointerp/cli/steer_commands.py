"""The command `steer`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from autointerp.cli.display import echo
from autointerp.errors import ConfigError
from autointerp.run import Run
from autointerp.runs.remote import open_run
from autointerp.tensor_half import needs_tensor_half

if TYPE_CHECKING:
    from autointerp.interventions.steering import NextToken, Steered
    from autointerp.stages.run_model import RunFeature

__all__ = ["register"]

PLACE_NAMES = "all, prompt, last, generated"


def register(app: typer.Typer) -> None:
    app.command("steer")(steer)


def steer(
    run: Annotated[Path, typer.Argument(metavar="RUN", parser=open_run, help="A run's directory or address.")],
    feature: Annotated[str, typer.Argument(metavar="DICTIONARY/FEATURE", help="Such as sae/12.")],
    prompt: Annotated[list[str], typer.Option(help="The text that is gone on with; may be given again.")],
    strength: Annotated[
        list[str] | None,
        typer.Option(
            help="The value the feature is held at: a number in its own units, or a multiple of its largest activation "
            "in the evidence, such as 2x. 0 ablates it. May be given again."
        ),
    ] = None,
    at: Annotated[
        str, typer.Option(help=f"Where it is held: {PLACE_NAMES}, or the prompt's tokens by number, such as 0,3,-1.")
    ] = "all",
    tokens: Annotated[int, typer.Option(min=0, help="Tokens to sample.")] = 30,
    temperature: Annotated[float, typer.Option(min=0.0, help="Of sampling; 0 takes the likeliest.")] = 0.7,
    seed: Annotated[int, typer.Option(help="Of sampling, the same with and without the feature held.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Hold a feature at a value and show the text with and without, and how far the next token's distribution moves."""
    with needs_tensor_half("steer"):
        from autointerp.stages.run_model import RunModel
        from autointerp.stages.steering import steer_in_words

    held = RunModel(Run(run)).feature(feature)
    try:
        steered = steer_in_words(
            held, prompt, strengths=strength or ["2x"], at=at, n_tokens=tokens, temperature=temperature, seed=seed
        )
    except ConfigError as error:
        raise ConfigError(f"--{error}") from None
    if as_json:
        facts = {"run": run.name, "feature": feature, "point": str(held.point), "at": at}
        facts |= {"max_activation": held.max_activation, "temperature": temperature, "seed": seed}
        echo(json.dumps(facts | {"steered": [asdict(e) | {"prompt": prompt[e.prompt]} for e in steered]}, indent=2))
        return
    echo(_shown(steered, prompt, held, feature))


def _shown(steered: list[Steered], prompts: list[str], held: RunFeature, feature: str) -> str:
    largest = "" if held.max_activation is None else f", largest activation {held.max_activation:.4g}"
    lines = [f"{feature} at {held.point} of {held.subject.name}{largest}"]
    shown = None
    for each in steered:
        if each.prompt != shown:
            shown = each.prompt
            lines += ["", f"prompt   {prompts[each.prompt]!r}", f"plain    {each.plain!r}"]
        own = "" if each.own is None else f"; its own largest value there {each.own:.4g}"
        lines += [
            f"held at {each.value:.4g}{own}; KL {each.kl:.4f} nats",
            f"  text     {each.steered!r}",
            f"  raised   {_listed(each.raised)}",
            f"  lowered  {_listed(each.lowered)}",
        ]
    return "\n".join(lines)


def _listed(tokens: tuple[NextToken, ...]) -> str:
    return ", ".join(f"{token.text!r} {token.plain:.3f} > {token.steered:.3f}" for token in tokens)
