"""How fast codes are optimised at inference: gradient pursuit, ours against dictionary_learning's, the same codes.

`python -m benchmarks.inference_speed --size quick|full`. Each in a process of its own with one thread, in turn on the
same activations and dictionary; the figure is the median CPU time of a batch, the first (warm-up) left out.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from statistics import median

import torch

from benchmarks.processes import ContestantProcess
from benchmarks.tables import markdown_table, write_report
from benchmarks.workload import Job

TITLES = {"pursuit_ours": "sae_core", "pursuit_dictionary_learning": "dictionary_learning"}
SAME_CODE = 1e-4
"""Codes further apart than this share of the largest count as different."""


def run(job: Job, *, n_rounds: int) -> list[str]:
    """Parts of the report: what was run, the table, how far the codes agree."""
    with ExitStack() as stack:
        runners = [stack.enter_context(ContestantProcess(name, job)) for name in TITLES]
        for each in runners:
            each.wait_until_ready()
        cpu: dict[str, list[float]] = {each.name: [] for each in runners}
        for number in range(n_rounds + 1):
            for each in runners if number % 2 == 0 else reversed(runners):
                cpu[each.name] += each.ask("step", n=1)["cpu_s"]
                print(f"  round {number} of {n_rounds}: {each.name} {cpu[each.name][-1]:.3f} s", file=sys.stderr)
        peaks = {each.name: each.ask("memory")["peak_bytes"] for each in runners}
        quality = {each.name: each.ask("quality")["fvu"] for each in runners}
        found = []
        with tempfile.TemporaryDirectory() as folder:
            for each in runners:
                path = Path(folder) / f"{each.name}.pt"
                each.ask("codes", path=str(path))
                found.append(torch.load(path))
        hellos = {each.name: each.hello for each in runners}
    seconds = {name: median(times[1:]) for name, times in cpu.items()}
    rows = [
        [
            f"{TITLES[name]} {hellos[name]['version']}".strip(),
            f"{seconds[name]:.3f}",
            f"{seconds[name] / seconds['pursuit_ours']:.1f}x",
            f"{peaks[name] / 2**30:.2f}",
            f"{quality[name]:.4f}",
        ]
        for name in seconds
    ]
    apart = (found[0] - found[1]).abs().amax(dim=1) / found[1].amax(dim=1)
    is_same = apart < SAME_CODE
    note = (
        f"{job.k} steps of gradient pursuit; d_in = {job.d_in}, {job.n_features:,} features, batch {job.batch}; "
        f"{n_rounds} batches timed after 1 warm-up."
    )
    # Once two features tie within rounding the two may go different ways.
    share = float(is_same.float().mean())
    agreement = (
        f"Codes of {len(apart)} held-out activations: {share:.1%} agree within {SAME_CODE:g} of their largest entry; "
        f"among those the largest difference is {float(apart[is_same].max()):.0e}."
    )
    table = markdown_table(["", "CPU s/batch", "ours is faster", "peak GiB", "FVU"], rows)
    return [note, table, agreement]


def main() -> None:
    """Print the table and write the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=("quick", "full"), default="quick")
    options = parser.parse_args()
    is_quick = options.size == "quick"
    job = Job("pursuit", 8192, k=16 if is_quick else 32, batch=512 if is_quick else 1024)
    parts = run(job, n_rounds=2 if is_quick else 3)
    print("\n\n".join(parts))
    write_report("inference_speed", "Inference-time optimisation", parts, size=options.size)


if __name__ == "__main__":
    main()
