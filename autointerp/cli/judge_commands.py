"""Commands that list and check judges."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import sys
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from enum import StrEnum
from typing import Annotated, Any

import typer

from autointerp.audition.fitness import recorded_fitness
from autointerp.builtin_plugins import BUILTIN, JUDGES, Abilities
from autointerp.cli import audition_commands
from autointerp.cli.display import echo
from autointerp.cli.judge_tables import render_findings, render_judges, render_plugins
from autointerp.errors import AutointerpError, ConfigError
from autointerp.explain.contract import check_explainer
from autointerp.judges.endpoint.probing import Probed
from autointerp.judges.judge import Judge
from autointerp.judges.kit.contract import check_judge, count_questions
from autointerp.judges.kit.findings import CheckResult
from autointerp.plugins import list_judges, list_plugins, load_plugin, noun_of, open_judge, split_spec
from autointerp.score.contract import check_scorer

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Judges: what there is, whether one keeps the contract, how good it is.")


class Kind(StrEnum):
    judge = "judge"
    explainer = "explainer"
    scorer = "scorer"


Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Options = Annotated[
    list[str] | None, typer.Option("--option", metavar="KEY=VALUE", help="An option of the judge, TOML value.")
]


@app.command("list")
def list_all(
    judge: Annotated[str | None, typer.Argument(help="NAME or NAME:MODEL: load this one and ask it.")] = None,
    options: Options = None,
    is_all: Annotated[bool, typer.Option("--all", help="Explainers, scorers and dictionaries as well.")] = False,
    as_json: Json = False,
) -> None:
    """List the built-in and installed judges with their abilities; only a named one is loaded."""
    listings = [listing for listing in list_judges() if judge is None or listing.name == split_spec(judge)[0]]
    known = {row.name: JUDGES[row.name].abilities if row.is_builtin else None for row in listings}
    stated = None
    if judge is not None:
        stated = _opened(open_judge(judge, _options(options)))
        name = split_spec(judge)[0]
        known[name] = known[name] or Abilities.stated_by(stated)
    groups = [group for group in BUILTIN if is_all and group != "autointerp.judges"]
    others = {noun_of(group): list_plugins(group) for group in groups}
    examined = [one for one in recorded_fitness() if judge in (None, one.judge)]
    if as_json:
        rows = [{"kind": "judge", **_plain(listing), "abilities": known[listing.name]} for listing in listings]
        rows += [{"kind": kind, **_plain(listing)} for kind, rest in others.items() for listing in rest]
        if stated is not None:
            rows[0]["capabilities"] = stated
        echo(json.dumps(rows, indent=2, default=asdict))
        return
    width = shutil.get_terminal_size().columns
    echo(render_judges([(listing, known[listing.name]) for listing in listings], width=width), nl=False)
    if examined:
        echo("\nexamined:\n" + "\n".join(one.words for one in examined))
    for kind, rest in others.items():
        if rest:
            echo("\n" + render_plugins(kind, rest, width=width), nl=False)
    if stated is not None:
        echo("\n" + "\n".join(f"{key} = {json.dumps(value)}" for key, value in asdict(stated).items()))


@app.command("check")
def check(
    name: Annotated[str, typer.Argument(metavar="NAME", help="NAME or NAME:MODEL.")],
    options: Options = None,
    kind: Annotated[Kind, typer.Option(help="What NAME is.")] = Kind.judge,
    n_at_once: Annotated[int, typer.Option("--at-once", min=2, max=8, help="Questions asked at once.")] = 4,
    timeout_s: Annotated[float, typer.Option("--timeout", metavar="S", min=0.1, help="Patience with a reply.")] = 60.0,
    is_thorough: Annotated[
        bool, typer.Option("--thorough", help="Send a prompt of a million characters, too, whatever it costs.")
    ] = False,
    is_counting: Annotated[
        bool, typer.Option("--requests", help="Only say how many questions a check costs; ask none.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Put some twenty small questions to a judge and report what of the contract it keeps; exit 3 if it breaks it.

    Explainers and scorers are checked on made-up evidence, without a judge.
    """
    if kind is not Kind.judge:
        factory = load_plugin(f"autointerp.{kind}s", name)
        checked = check_scorer(factory, name) if kind is Kind.scorer else check_explainer(factory, name)
        _report(checked, as_json)
        return
    given = _options(options)
    judge = open_judge(name, given)
    thorough = is_thorough or None
    if is_counting:
        n_questions = count_questions(_opened(judge), n_at_once=n_at_once, is_thorough=thorough)
        probing = " and a probe of the endpoint" if isinstance(judge, Probed) else ""
        echo(json.dumps({"n_questions": n_questions}) if as_json else f"{n_questions} questions{probing}")
        return
    with _dead_address() as address:
        results = asyncio.run(
            check_judge(
                judge,
                reopen=lambda: open_judge(name, given),
                unreachable=_pointed_at(address, name, given),
                n_at_once=n_at_once,
                is_thorough=thorough,
                timeout_s=timeout_s,
            )
        )
    _report(results, as_json)


def _report(results: list[CheckResult], as_json: bool) -> None:
    """Print the findings; exit 3 for a breach, as for any failing judge."""
    if as_json:
        echo(json.dumps([asdict(result) for result in results], indent=2))
    else:
        width = shutil.get_terminal_size().columns
        echo(render_findings(results, width=width, encoding=sys.stdout.encoding or "ascii"), nl=False)
    if any(result.is_passed is False for result in results):
        raise typer.Exit(3)


def _opened(judge: Judge) -> Any:
    stated = judge.capabilities
    asyncio.run(judge.aclose())
    return stated


@contextmanager
def _dead_address() -> Iterator[str]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}/v1"


def _pointed_at(address: str, name: str, options: Mapping[str, Any]) -> Judge | None:
    """The judge with another `base_url`, or None without such an option."""
    try:
        return open_judge(name, {**options, "base_url": address})
    except AutointerpError:  # a stranger's factory may stumble over an option that it does not know
        return None


def _plain(listing: Any) -> dict[str, Any]:
    return {**asdict(listing), "is_builtin": listing.is_builtin}


def _options(texts: list[str] | None) -> dict[str, Any]:
    return dict(_option(text) for text in texts or [])


def _option(text: str) -> tuple[str, Any]:
    key, separator, literal = text.partition("=")
    if not separator:
        raise ConfigError(f"--option '{text}' is not of the form KEY=VALUE")
    try:
        return key, tomllib.loads(f"value = {literal}")["value"]
    except tomllib.TOMLDecodeError:
        return key, literal


audition_commands.register(app)  # after the commands above, so that help lists them first
