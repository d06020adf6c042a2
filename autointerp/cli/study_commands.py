"""The command `study`."""

from __future__ import annotations

import json
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from autointerp.cli.display import TerminalProgress, echo
from autointerp.config.loading import load_config, render_override
from autointerp.errors import ConfigError
from autointerp.progress import Progress, SilentProgress
from autointerp.studies import prompt_versions, published_f1
from autointerp.studies.papers import PAPERS, open_paper
from autointerp.tensor_half import needs_tensor_half

__all__ = ["register"]

TWINS_STUDY = "trained-vs-random"
STUDIES = {
    **PAPERS,
    TWINS_STUDY: "which numbers tell the features of a trained model from those of a random one?",
    prompt_versions.NAME: "what does each change of version 2 of the prompts do to the scores of a run's features?",
    published_f1.NAME: "what do the F1 published by O'Neill et al. 2024 show, read with intervals and baselines?",
}
FOLDER = Path("results/runs/studies")
PAPER_FOLDER = Path("results/studies")


def register(app: typer.Typer) -> None:
    app.command("study")(study)


def study(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A study's name, or 'list'.")],
    run: Annotated[
        Path | None, typer.Argument(metavar="RUN", help=f"The run whose evidence is used, for {prompt_versions.NAME}.")
    ] = None,
    config: Annotated[
        str | None, typer.Option(help="A TOML file, or a recipe's name; by default the study's own.")
    ] = None,
    preset: Annotated[
        str, typer.Option(help="Of a paper's study; quick: under ten minutes on two cores, full: the committed size.")
    ] = "quick",
    proxies: Annotated[
        list[str] | None,
        typer.Option("--proxy", metavar="NAME=REGEX", help="A concept to find features of, for bricken2023."),
    ] = None,
    layers: Annotated[str | None, typer.Option(help=f"Layers, such as 1,3,5, for {TWINS_STUDY}.")] = None,
    twins: Annotated[str | None, typer.Option(help="Random twins (subject.weights), such as permuted,initial.")] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override a config key, or study.KEY, TOML value."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help=f"Folder; default {FOLDER}/NAME, of a paper's study {PAPER_FOLDER}/NAME, of its preset full NAME/full."
        ),
    ] = None,
    fresh: Annotated[bool, typer.Option(help="Delete the runs and parts of a paper's study that are done.")] = False,
    path: Annotated[Path, typer.Option(help=f"The published table, for {published_f1.NAME}.")] = (
        published_f1.DEFAULT_PATH
    ),
    figure: Annotated[
        Path | None, typer.Option(help=f"Draw the paper's Figure 7 into this .svg or .png, for {published_f1.NAME}.")
    ] = None,
    judge: Annotated[
        str | None, typer.Option(help=f"Who explains and scores, NAME or NAME:MODEL, for {prompt_versions.NAME}.")
    ] = None,
    variants: Annotated[
        str | None, typer.Option(help=f"Variants beside {prompt_versions.BASE}, such as version-2,explain-contrast.")
    ] = None,
    batch: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help=f"Ask by files in DIR (`autointerp batch import DIR/runs/VARIANT FILE` takes the answers), for "
            f"{prompt_versions.NAME}; by default of both versions.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, no progress.")] = False,
) -> None:
    """Run a study on language models: csv, md and png each; after an interruption, the same command goes on."""
    if name == "list":
        echo(json.dumps(STUDIES, indent=2) if as_json else "\n".join(f"{n}  {q}" for n, q in STUDIES.items()))
        return
    if name not in STUDIES:
        raise ConfigError(f"study '{name}': no such study; there are: {', '.join(STUDIES)}")
    progress = SilentProgress() if as_json else TerminalProgress()
    if name in PAPERS:
        proxy = [_proxy(each) for each in proxies or []]
        _study_paper(name, preset, config, [*(overrides or []), *proxy], out, fresh, progress, as_json)
    elif name == published_f1.NAME:
        _reanalyse(path, figure, as_json)
    elif name == prompt_versions.NAME:
        _compare_prompts(run, judge, variants, overrides or [], batch=batch, out=out, as_json=as_json)
    else:
        _compare_twins(config or "trained_vs_random", layers, twins, overrides or [], out, progress, as_json)


def _study_paper(
    name: str,
    preset: str,
    recipe: str | None,
    overrides: list[str],
    out: Path | None,
    fresh: bool,
    progress: Progress,
    as_json: bool,
) -> None:
    with needs_tensor_half("study"):
        from autointerp.studies.paper import measure_parts, open_settings, split_at_hand
        from autointerp.studies.paper_page import write_page

        study = open_paper(name)
        # needed at the end of the first part: better known missing before it starts
        import_module("matplotlib")
    folder = out or (PAPER_FOLDER / name if preset == "quick" else PAPER_FOLDER / name / preset)
    settings = open_settings(study, preset=preset, recipe=recipe, overrides=overrides, folder=folder, progress=progress)
    # a preset goes on without a model that has to be fetched first; a recipe is the user's own choice
    settings, left_out = split_at_hand(settings) if recipe is None else (settings, [])
    for each in left_out:
        progress.say(f"left out: {each}")
    done = list(measure_parts(study, settings, folder=folder, is_fresh=fresh))
    said = f"--preset {preset}" if recipe is None else f"--config {Path(recipe).name}"
    command = " ".join([f"autointerp study {name} {said}", *(f"--set '{s}'" for s in overrides if "/" not in s)])
    page = write_page(study, settings, done, folder=folder, command=command, left_out=left_out)
    claims = [{"part": each.part, "on": each.setting, **asdict(claim)} for each in done for claim in each.claims]
    echo(json.dumps(claims, indent=2) if as_json else page)


def _proxy(text: str) -> str:
    name, separator, pattern = text.partition("=")
    if not separator or not name.isidentifier():
        raise ConfigError(f"--proxy {text}: give NAME=REGEX, the name of letters, digits and _")
    return render_override(f"study.proxies.{name}", pattern)


def _reanalyse(path: Path, figure: Path | None, as_json: bool) -> None:
    figures = published_f1.reanalyse(published_f1.read_table(path))
    if figure is not None:
        with needs_tensor_half("--figure"):
            published_f1.draw(figures, figure)
    echo(json.dumps(figures.to_json(), indent=2) if as_json else published_f1.render(figures))


def _compare_twins(
    config: str,
    layers: str | None,
    twins: str | None,
    overrides: list[str],
    out: Path | None,
    progress: Progress,
    as_json: bool,
) -> None:
    tree = load_config(config, overrides)
    with needs_tensor_half("study"):
        from autointerp.studies.trained_vs_random import TWINS, run_study, write_study

    chosen = [twin.strip() for twin in twins.split(",")] if twins else list(TWINS)
    folder = out or FOLDER / TWINS_STUDY
    separations = run_study(
        tree, layers=_layers(layers) or [tree.subject.layer], twins=chosen, out=folder, progress=progress
    )
    options = [f"--layers {layers}"] if layers else []
    options += [f"--twins {twins}"] if twins else []
    shown = [text for text in overrides if "/" not in text]
    about = (
        f"Subject {Path(tree.subject.model).name}, site {tree.subject.site}, dictionaries "
        f"{', '.join(entry.name for entry in tree.dictionaries)}, {tree.harvest.n_features} features each, "
        f"{tree.corpus.evidence_tokens:,} tokens of evidence, judge {tree.score.judge}, seed {tree.seed}."
    )
    command = " ".join([f"autointerp study {TWINS_STUDY} --config {config}", *options, *(f"--set {s}" for s in shown)])
    write_study(separations, out=folder, command=command, about=about)
    if as_json:
        echo(json.dumps([asdict(each) for each in separations], indent=2))
    else:
        echo((folder / f"{TWINS_STUDY}.md").read_text(encoding="utf-8"))


def _compare_prompts(
    source: Path | None,
    judge: str | None,
    variants: str | None,
    overrides: list[str],
    *,
    batch: Path | None,
    out: Path | None,
    as_json: bool,
) -> None:
    if source is None:
        raise ConfigError(f"study {prompt_versions.NAME}: name a run, whose evidence is used")
    chosen = [each.strip() for each in variants.split(",")] if variants else None
    names = prompt_versions.require_variants(chosen or (["version-2"] if batch else list(prompt_versions.VARIANTS)))
    said = [
        *([] if judge is None else [render_override(f"{r}.judge", judge) for r in ("explain", "score")]),
        *overrides,
    ]
    folder = batch or out or FOLDER / prompt_versions.NAME
    progress = SilentProgress() if as_json else TerminalProgress()
    files: dict[str, list[Path]] = {}
    if batch is None:
        runs = prompt_versions.run_variants(source, names, overrides=said, out=folder, progress=progress)
    else:
        runs, files = prompt_versions.export_variants(source, names, overrides=said, out=folder, progress=progress)
    effects = prompt_versions.compare(runs) if prompt_versions.BASE in runs else []
    if effects:
        options = [f"--judge {judge}"] if judge else []
        options += [f"--variants {variants}"] if variants else []
        options += [f"--set '{text}'" for text in overrides if "/" not in text]
        shown_source = source.name if source.is_absolute() else source
        command = " ".join([f"autointerp study {prompt_versions.NAME} {shown_source}", *options])
        page = prompt_versions.write_study(runs, effects, out=folder, command=command)
        if not as_json:
            echo(page)
    if as_json:
        asked = {variant: [str(path) for path in paths] for variant, paths in files.items()}
        echo(json.dumps({"effects": prompt_versions.effects_to_json(effects), "files": asked}, indent=2))
        return
    for variant, paths in files.items():
        echo("\n".join([f"{variant}: questions in", *(f"  {path}" for path in paths)]))
        echo(f"  answers: `autointerp batch import {folder / 'runs' / variant} FILE`, then this command again")


def _layers(text: str | None) -> list[int]:
    try:
        return [int(part) for part in text.split(",")] if text else []
    except ValueError:
        raise ConfigError(f"--layers {text}: give whole numbers, such as 1,3,5") from None
