"""The simulator of `autointerp plan` against runs of 1, 2 and 4 processes, and the plan of a large study.

`python -m benchmarks.scale_plan --folder DIR` has a made-up run scored in shards by a local endpoint that answers after
a second, four requests in flight a process; the rates of the run of one process predict those of two and four. Then the
plan of `gemma.toml`, by an API and by eight GPUs that serve the judge; all goes to `results/bench/scale_plan.md`.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from autointerp.cli.plan_text import render_durations, render_plan
from autointerp.config.loading import load_config
from autointerp.planning import make_plan
from autointerp.run import Run
from autointerp.runs.journal import open_reader
from autointerp.scaling import Duration, Machines, Rates, measure_rates, read_rates, simulate
from benchmarks.environments import REPOSITORY
from benchmarks.judge_speed import serve
from benchmarks.million_features import config_of, make_run, settings
from benchmarks.tables import markdown_table, write_report

DELAY_S = 1.0
IN_FLIGHT = 4
HERE = Path(__file__).parent
GPUS = 16
NODES = 4


@dataclass(frozen=True, slots=True)
class Scored:
    """A run scored by several processes."""

    n_processes: int
    wall_s: float
    # from its first question to its last reply, of the process that asked longest
    asking_s: float
    root: Path


def make_explained(root: Path, address: str, *, n_features: int) -> Path:
    """A run of which all but scoring is done; its config, whose judge is the endpoint."""
    tree = settings(1) | {"limits": {"max_concurrent": IN_FLIGHT, "cache": str(root.parent / "cache"), "reuse": False}}
    tree["score"] |= {"judge": "openai:served"}
    tree["judges"] |= {"openai": {"base_url": address}}
    tree["controls"]["shuffled"] = 0.0
    make_run(root, tree, n_features=n_features)
    config = config_of(root)
    subprocess.run([*command(config, root), "--until", "explain"], cwd=REPOSITORY, check=True, capture_output=True)
    return config


def command(config: Path, root: Path) -> list[str]:
    return [sys.executable, "-m", "autointerp", "run", str(config), "--out", str(root)]


def score(config: Path, explained: Path, *, n_processes: int) -> Scored:
    """Score a copy of the run by so many processes at once."""
    root = explained.parent / f"by-{n_processes}"
    shutil.copytree(explained, root)
    start = time.perf_counter()
    processes = [
        subprocess.Popen(
            [*command(config, root), "--until", "score", "--shard", f"{number}/{n_processes}"],
            cwd=REPOSITORY,
            stdout=subprocess.DEVNULL,
        )
        for number in range(1, n_processes + 1)
    ]
    if any(process.wait() for process in processes):
        raise RuntimeError(f"a shard of {root} failed")
    wall_s = time.perf_counter() - start
    asking_s = []
    for shard in Run(root).layout.find_shards():
        with open_reader(shard.journal) as reader:
            asking_s.append(reader.read("SELECT max(at) - min(at) FROM replies")[0][0] + DELAY_S)
    return Scored(n_processes, wall_s, max(asking_s), root)


def check(folder: Path, *, n_features: int) -> str:
    """Predicted and measured times."""
    with serve(DELAY_S) as address:
        config = make_explained(folder / "explained", address, n_features=n_features)
        runs = [score(config, folder / "explained", n_processes=n) for n in (1, 2, 4)]
    rates = Rates(**measure_rates(Run(runs[0].root)))
    plan = make_plan(load_config(config, ["harvest.n_features=" + str(n_features)]))
    rows = []
    for run in runs:
        (predicted,) = (d for d in simulate(plan, rates, Machines(run.n_processes)) if d.stage == "score")
        assert predicted.seconds is not None and predicted.spread_s is not None
        rows.append(
            [
                str(run.n_processes),
                f"{predicted.seconds:.1f} +- {predicted.spread_s:.1f}",
                f"{run.asking_s:.1f}",
                f"{run.asking_s / predicted.seconds - 1:+.1%}",
                f"{runs[0].asking_s / run.asking_s / run.n_processes:.2f}",
                f"{run.wall_s:.0f}",
            ]
        )
    return markdown_table(
        ["processes", "predicted s", "measured s", "off by", "of ideal", "with starts and ends s"], rows
    )


def plan_of(rates_file: Path) -> tuple[str, Sequence[Duration]]:
    plan = make_plan(load_config(HERE / "gemma.toml"))
    durations = simulate(plan, read_rates(rates_file), Machines(NODES, GPUS))
    return render_plan(plan), durations


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--features", type=int, default=480)
    parser.add_argument("--folder", type=Path, required=True, help="an empty folder")
    options = parser.parse_args()
    parts = [
        f"## Predicted and measured\n\n{options.features} features scored in shards, a request each, by an endpoint "
        f"that answers after {DELAY_S:g} s, {IN_FLIGHT} requests in flight a process. The rate is that of the run of "
        "one process. Measured is from the first question to the last reply of the process that asked longest; the "
        "last column adds starting and ending the processes, which share two cores with whatever else runs there.",
        check(options.folder.resolve(), n_features=options.features),
    ]
    for name, title in (("api", "an API"), ("vllm", "8 GPUs that serve the judge with vLLM")):
        text, durations = plan_of(HERE / f"{name}.toml")
        shown = f"autointerp plan benchmarks/scale_plan/gemma.toml --nodes {NODES} --gpus {GPUS} "
        shown += f"--rates benchmarks/scale_plan/{name}.toml"
        parts.append(f"## Gemma-2-2B, 10^9 tokens, 16 x 65,536 features, 6 requests a feature: by {title}\n\n`{shown}`")
        parts.append(f"```\n{(text if name == 'api' else '') + render_durations(durations)}```")
    print(write_report("scale_plan", "Plans at scale", parts, size="full"))


if __name__ == "__main__":
    main()
