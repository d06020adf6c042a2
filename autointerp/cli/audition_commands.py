"""Commands about the quality of judges: exam, board, agreement and correction."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from autointerp.audition.agreement import judges_agree, render_agreements
from autointerp.audition.board import FORMATS, render_board
from autointerp.audition.certificate import FILE, read_certificate
from autointerp.audition.correction import correct_run, render_corrections
from autointerp.audition.exam import SIZES, Exam, make_exam
from autointerp.audition.fitness import AUDITIONS
from autointerp.audition.holding import Estimate, audition_config, check_judge, estimate, folder_name, hold
from autointerp.cli.display import TerminalProgress, echo
from autointerp.config.loading import load_config
from autointerp.config.tree import Config
from autointerp.errors import ConfigError
from autointerp.plugins import split_spec
from autointerp.progress import SilentProgress
from autointerp.runs.remote import open_run

__all__ = ["register"]


class SizeName(StrEnum):
    """Length of the exam."""

    small = "small"
    standard = "standard"
    large = "large"


class LevelName(StrEnum):
    """Level of the concepts."""

    easy = "easy"
    medium = "medium"
    hard = "hard"


class WordingName(StrEnum):
    """Form of the explanations."""

    plain = "plain"
    rule = "rule"


Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Format = Annotated[str, typer.Option("--format", help=f"One of {', '.join(FORMATS)}.")]


def register(app: typer.Typer) -> None:
    for command in (audition, board, agree, correct):
        app.command(command.__name__)(command)


def audition(
    judges: Annotated[list[str], typer.Argument(metavar="JUDGE...", help="NAME or NAME:MODEL.")],
    scorers: Annotated[str, typer.Option("--scorer", metavar="NAMES", help="Who asks, by name, with commas.")] = (
        "detection,marked"
    ),
    size: Annotated[SizeName, typer.Option(help="How many concepts are examined.")] = SizeName.standard,
    levels: Annotated[
        list[LevelName] | None, typer.Option("--level", help="Concepts of this level alone; repeat for several.")
    ] = None,
    wording: Annotated[
        WordingName, typer.Option(help="Explanations in English, or as the rule that `literal` applies.")
    ] = WordingName.plain,
    out: Annotated[Path, typer.Option(help="Directory; each judge gets a folder of its own there.")] = AUDITIONS,
    config: Annotated[
        str | None, typer.Option(metavar="CONFIG", help="A config whose [judges], [limits] and [score] are used.")
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a config key, TOML value.")
    ] = None,
    options: Annotated[
        list[str] | None,
        typer.Option("--option", metavar="KEY=VALUE", help="An option of the judge; of several, NAME.KEY=VALUE."),
    ] = None,
    max_usd: Annotated[float | None, typer.Option(help="Stop before spending more than this on a judge.")] = None,
    max_requests: Annotated[int | None, typer.Option(help="Stop before sending a judge more requests.")] = None,
    is_counting: Annotated[bool, typer.Option("--requests", help="Only say what it costs; ask nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Examine judges on planted features whose truth is known, with a fixed number of requests; an interrupted exam
    goes on."""
    tree = _config(judges, config, overrides, options, max_usd, max_requests)
    names = [name.strip() for name in scorers.split(",") if name.strip()]
    if not names:
        raise ConfigError("--scorer names no scorer; use detection, marked or both")
    asked: list[Any] = [level.value for level in levels or LevelName]
    exam = make_exam(names, size=size.value, levels=asked, wording=wording.value, score=tree.score)
    costs = [estimate(judge, exam, tree) for judge in dict.fromkeys(judges)]
    if is_counting:
        echo(json.dumps([asdict(cost) for cost in costs], indent=2) if as_json else _costs(costs, exam))
        return
    folders = {judge: out / folder_name(judge) for judge in judges}
    for judge, own in folders.items():
        check_judge(judge, config=tree, out=own)
    progress = SilentProgress() if as_json else TerminalProgress()
    progress.say(_costs(costs, exam))
    certificates = [hold(judge, exam, config=tree, out=own, progress=progress) for judge, own in folders.items()]
    for certificate in certificates:
        for words in _calibrated(certificate):
            progress.say(words)
    progress.say(f"kept in {', '.join(str(own / FILE) for own in folders.values())}")
    _echo(certificates, "json" if as_json else "table")


def board(
    auditions: Annotated[
        list[Path], typer.Argument(metavar="AUDITION...", help=f"Folders of auditions, or their {FILE}.")
    ],
    format: Format = "table",
) -> None:
    """Rank judges by their auditions; judges of different exams are ranked apart."""
    _echo([certificate for path in auditions for certificate in _certificates(path)], format)


def agree(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN_A RUN_B...", parser=open_run, help="Runs of the same evidence.")
    ],
    as_json: Json = False,
) -> None:
    """Measure how far the judges of several runs agree about the same windows and explanations."""
    agreements = judges_agree(runs)
    echo(json.dumps([asdict(one) for one in agreements], indent=2) if as_json else render_agreements(agreements))


def correct(
    run: Annotated[Path, typer.Argument(metavar="RUN", parser=open_run, help="A run's directory or address.")],
    audition: Annotated[Path, typer.Option(metavar="FILE", help=f"The judge's {FILE}, or its folder.")],
    as_json: Json = False,
) -> None:
    """Estimate which share of a run's windows a judge without errors would call firing (Rogan-Gladen)."""
    certificate = read_certificate(audition)
    shares = correct_run(run, certificate)
    if as_json:
        rows = [{**asdict(one), "corrected": one.corrected and one.corrected._asdict()} for one in shares]
        echo(json.dumps(rows, indent=2))
    else:
        echo(render_corrections(shares, certificate))


def _config(
    judges: Sequence[str],
    path: str | None,
    overrides: list[str] | None,
    options: list[str] | None,
    max_usd: float | None,
    max_requests: int | None,
) -> Config:
    names = list(dict.fromkeys(split_spec(judge)[0] for judge in judges))
    limits = {"max_usd": max_usd, "max_requests": max_requests}
    said = [f"limits.{key}={value}" for key, value in limits.items() if value is not None]
    said += [f"judges.{_option(text, names)}" for text in options or []]
    return audition_config(load_config(path or "demo", [*(overrides or []), *said]))


def _option(text: str, names: Sequence[str]) -> str:
    """An option as NAME.KEY=VALUE. Raises ConfigError, without the value, if the judge is unclear."""
    key, separator, _ = text.partition("=")
    if not separator:
        raise ConfigError(f"--option '{text}' is not of the form KEY=VALUE")
    judge, dot, _ = key.partition(".")
    if dot and judge in names:
        return text
    if len(names) > 1:
        raise ConfigError(f"--option {key}: of several judges, say whose it is: {names[0]}.{key}=VALUE")
    return f"{names[0]}.{text}"


def _costs(costs: Sequence[Estimate], exam: Exam) -> str:
    n_rounds = SIZES[exam.size][1]
    rounds = f", {n_rounds} times" if n_rounds > 1 else ""
    levels, scorers = ", ".join(exam.levels), ", ".join(scorer.name for scorer in exam.scorers)
    lines = [
        f"exam {exam.hash}: {exam.n_concepts} concepts ({levels}){rounds}, scorers {scorers}: "
        f"{len(exam.asked):,} requests per judge"
    ]
    for cost in costs:
        price = "price unknown"
        if cost.usd is not None and cost.usd_max is not None:
            price = f"about ${cost.usd:.2f}, at most ${cost.usd_max:.2f}" if cost.usd_max else "no cost"
        lines.append(
            f"{cost.judge}: {cost.n_requests:,} requests, {cost.n_windows:,} verdicts, about {cost.input_tokens:,} "
            f"tokens in and {cost.output_tokens:,} out, {price}"
        )
        lines += [f"note: {note}" for note in cost.notes]
    return "\n".join(lines)


def _calibrated(certificate: Mapping[str, Any]) -> list[str]:
    """What a threshold fitted to a judge's probabilities would make of its answers, by scorer."""
    lines = []
    name, _ = split_spec(certificate["judge"])
    for scorer, grades in certificate["marks"].items():
        if (found := grades["threshold"]) is not None and (balanced := found["balanced_accuracy"]) is not None:
            use = f"; judges.local.threshold = {found['value']:.3f} sets it" if name == "local" else ""
            interval = f"{balanced['mean']:.3f} [{balanced['lo']:.2f}, {balanced['hi']:.2f}]"
            lines.append(
                f"{certificate['judge']}, {scorer}: called firing from a probability of {found['value']:.3f} on, "
                f"balanced accuracy is {interval} on concepts it was not fitted to{use}"
            )
    return lines


def _certificates(path: Path) -> list[dict[str, Any]]:
    if path.is_dir() and not (path / FILE).is_file():
        files = sorted(path.glob(f"*/{FILE}"))
        if files:
            return [read_certificate(file) for file in files]
    return [read_certificate(path)]


def _echo(certificates: Sequence[Mapping[str, Any]], format: str) -> None:
    if format not in FORMATS:
        raise ConfigError(f"--format {format}: no such format; use one of {', '.join(FORMATS)}")
    if format == "json":
        echo(json.dumps(list(certificates), indent=2, ensure_ascii=False))
        return
    width = shutil.get_terminal_size((120, 24)).columns
    echo(render_board(certificates, format, width=width), nl=False)
