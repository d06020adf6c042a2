"""How fast dictionaries are trained: ours against the peers, in turn, from the same weights on the same activations.

`python -m benchmarks.training_speed --size quick|full`. Every contestant is a process of its own with one thread. In
each round every contestant takes one step, so that all of them meet the same disturbances; the figure is the median
CPU time of a step, the first (warm-up) left out. Afterwards each reconstructs the same held-out activations: after
equally many steps nobody may have bought speed with a worse dictionary.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median
from subprocess import CalledProcessError

from benchmarks.processes import ContestantProcess
from benchmarks.tables import markdown_table, write_report
from benchmarks.workload import Job

OURS = "ours"
TITLES = {
    "ours": "sae_core",
    "plain_torch": "plain PyTorch",
    "saelens": "SAELens",
    "dictionary_learning": "dictionary_learning",
    "sparsify": "sparsify",
    "overcomplete": "overcomplete",
    "products": "float32 products alone",
    "products_default": "the same, default kernel",
}
FLOORS = ("products", "products_default")
"""Not trainings: the float32 matrix products of the job's step alone, by the kernel that ours takes and by torch's
default one. Their ratio is the processor's, and bounds what a dense step can win."""


@dataclass(frozen=True)
class Race:
    """One table: a job, who takes part, and rounds (after the warm-up) in the quick and the full run (0: left out).

    `only_full`: who takes part in the full run alone."""

    title: str
    job: Job
    contestants: tuple[str, ...]
    n_quick: int
    n_full: int
    only_full: tuple[str, ...] = ()


MAIN = ("ours", "saelens", "dictionary_learning")
OTHERS = ("overcomplete", "plain_torch")

RACES = (
    Race("TopK, k = 32, 8,192 features", Job("topk", 8192), (*MAIN, "sparsify", *OTHERS, *FLOORS), 3, 7),
    Race("TopK, k = 32, 16,384 features", Job("topk", 16384), (*MAIN, "sparsify", *FLOORS), 0, 4),
    Race("ReLU + L1, 8,192 features, dense phase", Job("relu", 8192), (*MAIN, *FLOORS), 2, 5, only_full=OTHERS),
    Race(
        "ReLU + L1, 8,192 features, about 90 active",
        Job("relu", 8192, start_l0=90, learning_rate=1e-4, l1=2.0),
        MAIN,
        2,
        5,
    ),
)


def run_race(race: Race, *, contestants: Sequence[str], n_rounds: int) -> str:
    """The race's table, in markdown. A contestant that cannot start is named with its error and left out."""
    failures: list[str] = []
    with ExitStack() as stack:
        runners: list[ContestantProcess] = []
        started: list[ContestantProcess] = []
        for name in contestants:
            try:
                started.append(stack.enter_context(ContestantProcess(name, race.job)))
            except (OSError, CalledProcessError) as error:
                failures.append(f"{TITLES[name]} left out, its environment could not be made: {error}")
        for each in started:
            try:
                each.wait_until_ready()
                runners.append(each)
            except RuntimeError as error:
                failures.append(f"{TITLES[each.name]} left out: {str(error).strip().splitlines()[-1]}")
        start_fvu = {each.name: each.ask("quality")["fvu"] for each in runners if each.name == OURS}
        cpu: dict[str, list[float]] = {each.name: [] for each in runners}
        for number in range(n_rounds + 1):
            # Odd rounds backwards: nobody always follows the same neighbour.
            for each in runners if number % 2 == 0 else reversed(runners):
                cpu[each.name] += each.ask("step", n=1)["cpu_s"]
                print(
                    f"  {race.title}: round {number} of {n_rounds}, {each.name} {cpu[each.name][-1]:.3f} s",
                    file=sys.stderr,
                )
        # Ours measured its quality before the race, which holds less memory than a step does.
        trained = [each for each in runners if each.name not in FLOORS]
        peaks = {each.name: each.ask("memory")["peak_bytes"] for each in trained}
        quality = {each.name: each.ask("quality")["fvu"] for each in trained}
        hellos = {each.name: each.hello for each in runners}
    seconds = {name: median(times[1:]) for name, times in cpu.items()}
    rows = [
        [
            f"{TITLES[name]} {hellos[name]['version']}".strip(),
            f"{seconds[name]:.3f}",
            f"{min(cpu[name][1:]):.3f}-{max(cpu[name][1:]):.3f}",
            f"{seconds[name] / seconds[OURS]:.{2 if name in FLOORS else 1}f}x",
            f"{peaks[name] / 2**30:.2f}" if name in peaks else "",
            f"{hellos[name]['import_bytes'] / 2**30:.2f}" if name in peaks else "",
            f"{peaks[name] / peaks[OURS]:.1f}x" if name in peaks else "",
            f"{quality[name]:.4f}" if name in quality else "",
        ]
        for name in seconds
    ]
    job = race.job
    header = ["", "CPU s/step", "range", "ours is faster", "peak GiB", "of it imports", "ours is smaller", "FVU after"]
    note = (
        f"d_in = {job.d_in}, batch {job.batch}, {n_rounds} steps timed after 1 warm-up; held-out FVU (the share "
        f"of variance left unexplained) before: {start_fvu[OURS]:.4f}."
    )
    return "\n\n".join([f"## {race.title}", note, markdown_table(header, rows), *failures])


def main() -> None:
    """Run the races of the chosen size, print their tables and write the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=("quick", "full"), default="quick")
    parser.add_argument("--only", help="run the races whose title contains this")
    options = parser.parse_args()
    parts = []
    for race in RACES:
        n_rounds = race.n_quick if options.size == "quick" else race.n_full
        if n_rounds and (options.only is None or options.only in race.title):
            contestants = race.contestants if options.size == "quick" else (*race.contestants, *race.only_full)
            parts.append(run_race(race, contestants=contestants, n_rounds=n_rounds))
            print(parts[-1] + "\n", flush=True)
    if options.only is None:
        path = write_report("training_speed", "Training speed", parts, size=options.size)
        print(f"written to results/bench/{path.name}")


if __name__ == "__main__":
    main()
