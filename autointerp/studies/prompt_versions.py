"""Study `prompts`: what does each change of version 2 of the prompts do to the scores?

Every variant explains and scores the evidence of one run anew, under the same seed, so that all judge the same windows
of the same features; differences to version 1 are paired by feature.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple, get_args

import numpy as np

from autointerp import pipeline
from autointerp.batch.exporting import export_round, next_stage
from autointerp.batch.request_files import FileLimits
from autointerp.board.score_table import iter_rows
from autointerp.builtin_plugins import JUDGES
from autointerp.config.prompts import ExplainChange, ExplainPrompts, ScoreChange, ScorePrompts
from autointerp.config.tree import Config
from autointerp.errors import ConfigError
from autointerp.plugins import split_spec
from autointerp.progress import Progress
from autointerp.run import Run
from autointerp.runs.layout import RunLayout, write_text
from autointerp.runs.manifest import load_run_config
from autointerp.seeds import stream
from autointerp.stats.intervals import paired_difference
from autointerp.tables import markdown_table

__all__ = ["BASE", "NAME", "VARIANTS", "Effect", "compare", "export_variants", "run_variants", "write_study"]

NAME = "prompts"
BASE = "version-1"
METRICS = {
    "f1": "F1",
    "recall": "recall",
    "precision": "precision",
    "excess": "excess",
    "beyond_token": "beyond token",
}
_CHARACTERS_PER_TOKEN = 4


class Variant(NamedTuple):
    explain: ExplainPrompts
    score: ScorePrompts


def _variants() -> Iterator[tuple[str, Variant]]:
    yield BASE, Variant(1, 1)
    yield "version-2", Variant(2, 2)
    yield "explaining-2", Variant(2, 1)
    yield "scoring-2", Variant(1, 2)
    yield "marks", Variant(("marks",), ("marks",))
    yield from ((f"explain-{change}", Variant((change,), 1)) for change in get_args(ExplainChange) if change != "marks")
    yield from ((f"score-{change}", Variant(1, (change,))) for change in get_args(ScoreChange) if change != "marks")


VARIANTS: Mapping[str, Variant] = dict(_variants())
"""Both versions, each half of version 2, and every change alone."""


@dataclass(frozen=True, slots=True)
class Effect:
    """Mean of one metric under a variant, and its paired difference to version 1 with its 95% interval."""

    variant: str
    scorer: str
    dictionary: str  # "all": over the features of all dictionaries
    metric: str
    base_mean: float
    mean: float
    difference: float
    lo: float
    hi: float
    n: int  # features with a value under both


@dataclass(frozen=True, slots=True)
class PromptSize:
    """Mean length of a request of one kind; tokens as the judge counts them, else by characters."""

    variant: str
    scorer: str  # "" for explaining
    tokens: float
    is_counted: bool


def run_variants(
    source: Path, names: Iterable[str], *, overrides: Sequence[str], out: Path, progress: Progress
) -> dict[str, Run]:
    """The finished run of each variant, below `out`/runs; what is finished is not asked again."""
    runs = {}
    for name in names:
        progress.say(f"{name}: begins")
        config = _config(source, name, overrides, out)
        runs[name] = Run(pipeline.rescore(source, config, out=out / "runs" / name, progress=progress).root)
    return runs


def export_variants(
    source: Path, names: Iterable[str], *, overrides: Sequence[str], out: Path, progress: Progress
) -> tuple[dict[str, Run], dict[str, list[Path]]]:
    """The variants that are answered, and of each other one the files of its next questions.

    Nothing is sent. Raises ConfigError for a judge without batch files.
    """
    done, files = {}, {}
    for name in names:
        config, layout = _config(source, name, overrides, out), RunLayout(out / "runs" / name)
        pipeline.rescore(source, config, out=layout.root, last="harvest", progress=progress)
        while (stage := next_stage(layout)) is not None:
            exported = export_round(config, layout, stage, limits=FileLimits(), progress=progress)
            if not exported.is_complete:
                kept = exported.round_
                files[name] = [] if kept is None else [layout.batch / kept.name / file.name for file in kept.files]
                break
            pipeline.run(config, out=layout.root, last=stage, progress=progress)
        else:
            done[name] = Run(pipeline.run(config, out=layout.root, progress=progress).root)
    return done, files


def _config(source: Path, name: str, overrides: Sequence[str], out: Path) -> Config:
    """The run's config under a variant. Replies are shared by all variants, so explanations of one prompt are one."""
    config = load_run_config(RunLayout(source), overrides)
    variant = VARIANTS[name]
    return config.model_copy(
        update={
            "name": name,
            "explain": config.explain.model_copy(update={"prompts": variant.explain}),
            "score": config.score.model_copy(update={"prompts": variant.score}),
            "limits": config.limits.model_copy(update={"cache": config.limits.cache or out / "replies", "reuse": True}),
        }
    )


def require_variants(names: Sequence[str]) -> list[str]:
    """The variants to run, version 1 first. Raises ConfigError for an unknown one."""
    unknown = [name for name in names if name not in VARIANTS]
    if unknown:
        raise ConfigError(f"--variants {unknown[0]}: no such variant; there are {', '.join(VARIANTS)}")
    return list(dict.fromkeys([BASE, *names]))


def compare(runs: Mapping[str, Run]) -> list[Effect]:
    """The effect of every variant but version 1, by scorer, dictionary and metric."""
    values = {name: _values(run) for name, run in runs.items()}
    found: list[Effect] = []
    for name, table in values.items():
        for (scorer, metric), features in table.items() if name != BASE else ():
            base = values[BASE].get((scorer, metric), {})
            both = sorted(features.keys() & base.keys())
            for dictionary in ("all", *dict.fromkeys(each for each, _, _ in both)):
                mine = [key for key in both if dictionary in ("all", key[0])]
                seed = stream(runs[BASE].config.seed, "prompts", name, scorer, dictionary, metric)
                found += _effect(name, scorer, dictionary, metric, features, base, mine, seed)
    return found


_Key = tuple[str, int, str]


def _values(run: Run) -> dict[tuple[str, str], dict[_Key, float]]:
    """By scorer and metric: the defined values of features, each with its explainer."""
    values: dict[tuple[str, str], dict[_Key, float]] = {}
    for row in iter_rows(run.scores):
        for metric in METRICS:
            value = row[metric]
            if value is not None and not math.isnan(value):
                key = (row["dictionary"], row["feature"], row["explainer"])
                values.setdefault((row["scorer"], metric), {})[key] = value
    return values


def _effect(
    name: str,
    scorer: str,
    dictionary: str,
    metric: str,
    features: Mapping[_Key, float],
    base: Mapping[_Key, float],
    keys: Sequence[_Key],
    rng: np.random.Generator,
) -> list[Effect]:
    first, second = [features[key] for key in keys], [base[key] for key in keys]
    gap = paired_difference(first, second, rng=rng)
    if gap is None:
        return []
    means = float(np.mean(second)), float(np.mean(first))
    return [Effect(name, scorer, dictionary, metric, *means, gap.mean, gap.lo, gap.hi, len(keys))]


def prompt_sizes(runs: Mapping[str, Run]) -> list[PromptSize]:
    sizes = []
    for name, run in runs.items():
        with run.open_journals() as view:
            for scorer, (characters, tokens) in view.prompt_sizes().items():
                sizes.append(PromptSize(name, scorer, tokens or characters / _CHARACTERS_PER_TOKEN, tokens > 0))
    return sizes


def write_study(runs: Mapping[str, Run], effects: Sequence[Effect], *, out: Path, command: str) -> str:
    """Write `prompts.md` and `prompts.csv` below `out`; returns the page."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(field.name for field in fields(Effect))
    writer.writerows([getattr(each, field.name) for field in fields(Effect)] for each in effects)
    write_text(out / f"{NAME}.csv", text.getvalue())
    page = _document(runs, effects, prompt_sizes(runs), command=command)
    write_text(out / f"{NAME}.md", page)
    return page


def _document(runs: Mapping[str, Run], effects: Sequence[Effect], sizes: Sequence[PromptSize], *, command: str) -> str:
    config = runs[BASE].config
    judges = list(dict.fromkeys([config.explain.judge, *config.score.judges]))
    lines = [
        "# Version 2 of the prompts against version 1",
        "",
        "Each variant explains and scores the same features on the same windows. A figure is the mean difference to",
        "version 1, paired by feature, with its 95% interval (bootstrap over features) and, in brackets, its mean. The",
        "variants `explain-...` and `score-...` hold one change each (`autointerp/config/prompts.py` says which).",
        "",
        f"Judge: {', '.join(judges)}. Made by `{command}`; differences by dictionary are in `{NAME}.csv`.",
        *_caveat(judges),
    ]
    tokens = {(size.variant, size.scorer): size for size in sizes}
    is_counted = all(size.is_counted for size in sizes)
    for scorer in dict.fromkeys(each.scorer for each in effects):
        at = {
            (each.variant, each.metric): each for each in effects if (each.scorer, each.dictionary) == (scorer, "all")
        }
        shown = [metric for metric in METRICS if any(key[1] == metric for key in at)]
        heads = ["variant", *(METRICS[metric] for metric in shown), "features", "tokens to explain", "to score"]
        rows = [
            [
                name,
                *(_cell(at.get((name, metric))) for metric in shown),
                str(max((each.n for each in at.values() if name in (BASE, each.variant)), default=0)),
                *(_tokens(tokens.get((name, kind))) for kind in ("", scorer)),
            ]
            for name in runs
        ]
        rows[0][1 : 1 + len(shown)] = [_base_cell(at.values(), metric) for metric in shown]
        lines += ["", f"## {scorer}", "", *markdown_table(heads, rows, rule="|---|" + "---|" * (len(heads) - 1))]
    note = (
        "as the judge counted them" if is_counted else f"{_CHARACTERS_PER_TOKEN} characters each, for want of a count"
    )
    return "\n".join([*lines, "", f"Tokens are per request, {note}."]) + "\n"


def _caveat(judges: Sequence[str]) -> list[str]:
    offline = [name for name in judges if (row := JUDGES.get(split_spec(name)[0])) and row.abilities.task == "yes"]
    if not offline:
        return []
    return [
        "",
        f"**{', '.join(offline)} reads no prompt.** It answers from what is shown, so only variants that show other",
        "windows can move it (contrast, context, passages); that the others move nothing says nothing of them.",
    ]


def _base_cell(effects: Iterable[Effect], metric: str) -> str:
    means = [each.base_mean for each in effects if each.metric == metric]
    return f"{means[0]:.3f}" if means else "-"


def _cell(each: Effect | None) -> str:
    return "-" if each is None else f"{each.difference:+.3f} [{each.lo:+.3f}, {each.hi:+.3f}] ({each.mean:.3f})"


def _tokens(size: PromptSize | None) -> str:
    return "-" if size is None else f"{size.tokens:,.0f}"


def effects_to_json(effects: Sequence[Effect]) -> list[dict[str, Any]]:
    return [{field.name: getattr(each, field.name) for field in fields(Effect)} for each in effects]
