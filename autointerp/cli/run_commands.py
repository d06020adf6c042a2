"""Commands that make runs: demo, run, its single stages, rescore, plan."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from autointerp import pipeline, planning
from autointerp.begun_run import BegunRun, read_begun_run
from autointerp.cli.board_commands import echo_leaderboard
from autointerp.cli.display import TerminalProgress, echo
from autointerp.cli.plan_text import plan_to_json, render_durations, render_plan
from autointerp.config.loading import keep_dictionaries, load_config, render_override
from autointerp.config.tree import Config
from autointerp.errors import ConfigError
from autointerp.judges.endpoint.token_counting import open_counter
from autointerp.progress import SilentProgress
from autointerp.run import Run
from autointerp.runs.layout import RunLayout
from autointerp.runs.manifest import load_run_config
from autointerp.runs.remote import address_of, open_out, open_part, open_run
from autointerp.runs.shards import parse_shard
from autointerp.scaling import Machines, gather_rates, simulate

__all__ = ["register"]

RUNS = Path("results/runs")

Out = Annotated[
    Path | None,
    typer.Option(metavar="PATH", parser=open_out, help="Directory or address of the run; default results/runs/<name>."),
]
Set = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a config key, TOML value.")]
Json = Annotated[bool, typer.Option("--json", help="Print the summary as JSON, no progress.")]
Fresh = Annotated[bool, typer.Option(help="Delete the run that is there and start anew.")]
MaxUsd = Annotated[float | None, typer.Option(help="Stop before spending more than this.")]
Cache = Annotated[Path | None, typer.Option(help="Directory of the reply cache that runs share.")]
NoReuse = Annotated[bool, typer.Option("--no-reuse", help="Pay anew for replies that another run has already.")]
MaxRequests = Annotated[int | None, typer.Option(help="Stop before sending more requests than this.")]
Seeds = Annotated[
    int | None, typer.Option(metavar="N", help="Train every trained dictionary N times, each with a seed of its own.")
]
Features = Annotated[int | None, typer.Option(metavar="N", min=1, help="Take N features of each dictionary.")]
Dictionaries = Annotated[
    str | None, typer.Option(metavar="A,B", help="Take these dictionaries of the config, by name.")
]
ShardOf = Annotated[
    str | None,
    typer.Option(
        "--shard",
        metavar="I/N",
        help="Explain and score part I of N of the features, as one of N processes; ceilings are then per process. "
        "`merge` brings the parts together.",
    ),
]

EngineKind = Annotated[str | None, typer.Option("--engine", help="Who does the work: local (processes) or ray.")]
Workers = Annotated[int | None, typer.Option(metavar="N", help="Divide the stages among N workers.")]
Address = Annotated[str | None, typer.Option(metavar="HOST:PORT", help="The Ray cluster's head.")]


def register(app: typer.Typer) -> None:
    app.command("demo")(demo)
    app.command("run")(run)
    for stage in ("train", "harvest", "explain", "score"):
        app.command(stage, help=f"Run CONFIG up to and with the stage '{stage}'.")(_stage_command(stage))
    app.command("rescore")(rescore)
    app.command("plan")(plan)


def demo(
    out: Out = None,
    judge: Annotated[str | None, typer.Option(help="Another judge, NAME or NAME:MODEL, for both roles.")] = None,
    overrides: Set = None,
    max_usd: MaxUsd = None,
    fresh: Fresh = False,
    as_json: Json = False,
) -> None:
    """Measure the embedded subject end to end: offline, free, a few minutes."""
    chosen = [render_override(f"{role}.judge", judge) for role in ("explain", "score")] if judge else []
    config = _config("demo", [*chosen, *(overrides or [])], max_usd)
    _finish(_run(config, out=out, fresh=fresh, as_json=as_json), as_json)


def run(
    config: Annotated[str, typer.Argument(help="A TOML file, or a recipe's name.")],
    out: Out = None,
    first: Annotated[str | None, typer.Option("--from", help="Do this stage and all after it again.")] = None,
    last: Annotated[str, typer.Option("--until", help="Stop after this stage.")] = pipeline.STAGES[-1],
    overrides: Set = None,
    features: Features = None,
    dictionaries: Dictionaries = None,
    seeds: Seeds = None,
    max_usd: MaxUsd = None,
    max_requests: MaxRequests = None,
    cache: Cache = None,
    no_reuse: NoReuse = False,
    shard: ShardOf = None,
    engine: EngineKind = None,
    workers: Workers = None,
    address: Address = None,
    fresh: Fresh = False,
    as_json: Json = False,
) -> None:
    """Run a config from corpus to leaderboard; the same command again goes on where it stopped."""
    overrides = [*(overrides or []), *engine_overrides(engine, workers, address)]
    tree = _config(config, overrides, max_usd, max_requests, cache, no_reuse, seeds, features, dictionaries)
    if shard is not None:
        _run_shard(tree, shard, out=out, first=first, last=last, fresh=fresh, as_json=as_json)
        return
    layout = _run(tree, out=out, first=first, last=last, fresh=fresh, as_json=as_json)
    if last == pipeline.STAGES[-1]:
        _finish(layout, as_json)


def rescore(
    source: Annotated[Path, typer.Argument(metavar="RUN", parser=open_run, help="The run whose evidence is used.")],
    out: Annotated[Path, typer.Option(metavar="PATH", parser=open_out, help="Directory or address of the new run.")],
    last: Annotated[str, typer.Option("--until", help="Stop after this stage.")] = pipeline.STAGES[-1],
    overrides: Set = None,
    features: Features = None,
    dictionaries: Dictionaries = None,
    max_usd: MaxUsd = None,
    max_requests: MaxRequests = None,
    cache: Cache = None,
    no_reuse: NoReuse = False,
    as_json: Json = False,
) -> None:
    """Explain and score an old run's evidence anew (another judge, another scorer): no torch, no subject."""
    config = _config(
        RunLayout(source),
        [render_override("name", out.name), *(overrides or [])],
        max_usd,
        max_requests,
        cache,
        no_reuse,
        features=features,
        dictionaries=dictionaries,
    )
    progress = SilentProgress() if as_json else TerminalProgress()
    layout = pipeline.rescore(source, config, out=out, last=last, progress=progress)
    if last == pipeline.STAGES[-1]:
        _finish(layout, as_json)


def plan(
    config: Annotated[str, typer.Argument(help="A TOML file, or a recipe's name.")],
    overrides: Set = None,
    features: Features = None,
    dictionaries: Dictionaries = None,
    seeds: Seeds = None,
    detect: Annotated[
        float | None, typer.Option(metavar="D", help="Features needed to show a difference D in mean F1.")
    ] = None,
    latency: Annotated[float, typer.Option(metavar="S", min=0.0, help="Assumed seconds to a reply.")] = (
        planning.ASSUMED.latency_s
    ),
    from_run: Annotated[
        Path | None,
        typer.Option(
            metavar="RUN",
            parser=open_run,
            help="Measure the replies of this run, and plan what is left; default the config's.",
        ),
    ] = None,
    tokenizer: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The judge's tokenizer (tokenizer.json), to count with.")
    ] = None,
    nodes: Annotated[int, typer.Option(metavar="N", min=1, help="Machines that ask, a process on each.")] = 1,
    gpus: Annotated[int, typer.Option(metavar="G", min=0, help="GPUs that train and harvest, over all machines.")] = 0,
    judge_rps: Annotated[
        float | None, typer.Option(metavar="R", min=0.001, help="Requests per second that the judge answers.")
    ] = None,
    rates: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Rates of the stages (TOML); before those of --from-run.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Estimate requests, tokens, price and time of a config, or of what is left of its run: offline."""
    tree = _config(config, overrides, seeds=seeds, features=features, dictionaries=dictionaries)
    made = planning.make_plan(
        tree,
        difference=detect,
        assumed=replace(planning.ASSUMED, latency_s=latency),
        begun=_begun(tree, from_run),
        tokenizer=None if tokenizer is None else open_counter(tokenizer),
    )
    known = gather_rates(rates, None if from_run is None else Run(from_run), judge_rps)
    is_scaled = rates is not None or judge_rps is not None or nodes > 1 or gpus > 0
    durations = simulate(made, known, Machines(nodes, gpus)) if is_scaled else []
    if as_json:
        echo(json.dumps(plan_to_json(made, durations), indent=2))
    else:
        echo(render_plan(made) + render_durations(durations), nl=False)


def _begun(config: Config, root: Path | None) -> BegunRun | None:
    """The named run, or the config's own if it exists; only a named run may have another config."""
    usual = RUNS / config.name
    if root is None and not RunLayout(usual).is_run():
        return None
    begun = read_begun_run(Run(root or usual), config)
    return begun if root is not None or begun is None or not begun.differing else None


def _stage_command(stage: str):
    if stage not in pipeline.ASKING:
        return _whole_stage_command(stage)

    def command(
        config: Annotated[str, typer.Argument(help="A TOML file, or a recipe's name.")],
        out: Out = None,
        overrides: Set = None,
        seeds: Seeds = None,
        max_usd: MaxUsd = None,
        max_requests: MaxRequests = None,
        cache: Cache = None,
        no_reuse: NoReuse = False,
        shard: ShardOf = None,
        fresh: Fresh = False,
    ) -> None:
        tree = _config(config, overrides, max_usd, max_requests, cache, no_reuse, seeds)
        if shard is None:
            _run(tree, out=out, last=stage, fresh=fresh)
        else:
            _run_shard(tree, shard, out=out, last=stage, fresh=fresh)

    return command


def _whole_stage_command(stage: str):
    def command(
        config: Annotated[str, typer.Argument(help="A TOML file, or a recipe's name.")],
        out: Out = None,
        overrides: Set = None,
        seeds: Seeds = None,
        max_usd: MaxUsd = None,
        max_requests: MaxRequests = None,
        cache: Cache = None,
        no_reuse: NoReuse = False,
        fresh: Fresh = False,
    ) -> None:
        tree = _config(config, overrides, max_usd, max_requests, cache, no_reuse, seeds)
        _run(tree, out=out, last=stage, fresh=fresh)

    return command


def engine_overrides(kind: str | None, workers: int | None, address: str | None) -> list[str]:
    """The engine's options as overrides."""
    chosen = {"kind": kind, "workers": workers, "address": address}
    return [render_override(f"engine.{key}", value) for key, value in chosen.items() if value is not None]


def _config(
    source: str | RunLayout,
    overrides: list[str] | None,
    max_usd: float | None = None,
    max_requests: int | None = None,
    cache: Path | None = None,
    no_reuse: bool = False,
    seeds: int | None = None,
    features: int | None = None,
    dictionaries: str | None = None,
) -> Config:
    chosen = {
        "limits.max_usd": max_usd,
        "limits.max_requests": max_requests,
        "limits.reuse": "false" if no_reuse else None,
        "train.seeds": seeds,
        "harvest.n_features": features,
    }
    keys = [*(overrides or []), *(f"{key}={value}" for key, value in chosen.items() if value is not None)]
    if cache is not None:
        keys.append(render_override("limits.cache", str(cache)))
    tree = load_run_config(source, keys) if isinstance(source, RunLayout) else load_config(source, keys)
    return tree if dictionaries is None else keep_dictionaries(tree, dictionaries.split(","))


def _run(
    config: Config,
    *,
    out: Path | None,
    first: str | None = None,
    last: str = pipeline.STAGES[-1],
    fresh: bool = False,
    as_json: bool = False,
) -> RunLayout:
    progress = SilentProgress() if as_json else TerminalProgress()
    return pipeline.run(config, out=out or RUNS / config.name, first=first, last=last, fresh=fresh, progress=progress)


def _run_shard(
    config: Config,
    text: str,
    *,
    out: Path | None,
    first: str | None = None,
    last: str,
    fresh: bool,
    as_json: bool = False,
) -> None:
    shard, root = parse_shard(text), out or RUNS / config.name
    if fresh:
        raise ConfigError(f"--fresh would delete the whole run; delete {RunLayout(root, shard=shard).manifest.parent}")
    last = "score" if last == pipeline.STAGES[-1] else last
    progress = SilentProgress() if as_json else TerminalProgress()
    address = address_of(root)
    place = root if isinstance(address, Path) else open_part(address, shard, is_led=False)
    layout = pipeline.run_shard(config, out=place, shard=shard, first=first, last=last, progress=progress)
    if as_json:
        echo(json.dumps({"shard": str(shard), "folder": str(layout.journal.parent), "until": last}))
    else:
        echo(f"shard {shard} is done up to {last}; when all are: autointerp merge {root if place == root else address}")


def _finish(layout: RunLayout, as_json: bool) -> None:
    summary = Run(layout.root).summary
    if as_json:
        echo(json.dumps(summary, indent=2))
        return
    echo_leaderboard([summary])
    echo(f"report: {layout.report}")
