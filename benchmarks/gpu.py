"""What needs a GPU, on the first machine that has one: is it right, how fast is it, can vLLM judge on it.

`python -m benchmarks.gpu --judge Qwen/Qwen3-8B --vllm-python .venv-vllm/bin/python`. Runs `pytest -m cuda`, times a
step of every contestant (`training_speed`) and the harvest of the demo on the device, has vLLM judge 200 features of
that evidence, and writes `results/bench/gpu.md`. What fails is a line of the table, so that the rest is measured.
Never run so far.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from statistics import median
from subprocess import CalledProcessError

import torch

from benchmarks.environments import REPOSITORY
from benchmarks.processes import ContestantProcess
from benchmarks.tables import markdown_table, write_report
from benchmarks.training_speed import TITLES
from benchmarks.workload import Job

__all__ = ["judge_command", "main", "race", "refusal", "section"]

CONTESTANTS = ("ours", "saelens", "sparsify", "dictionary_learning")
JOBS = (
    ("TopK, k = 32, 65,536 features", Job("topk", 65_536, d_in=2048, batch=8192)),
    ("ReLU + L1, 65,536 features", Job("relu", 65_536, d_in=2048, batch=8192, start_l0=90)),
)
N_STEPS = 20
EVIDENCE_TOKENS = 4_000_000
N_JUDGED = 200


def refusal(*, has_cuda: bool) -> str | None:
    """Why nothing can be measured here."""
    return None if has_cuda else "error: no CUDA device: this measures what needs one; run it on a machine with a GPU"


def section(title: str, measure: Callable[[], str]) -> str:
    """One part of the report; a failure is told in it."""
    print(f"{title} ...", flush=True)
    try:
        text = measure()
    except (CalledProcessError, OSError, RuntimeError, ValueError, KeyError) as error:
        text = f"Failed: {type(error).__name__}: {str(error).strip().splitlines()[-1] if str(error).strip() else ''}"
    return f"## {title}\n\n{text}"


def correctness() -> str:
    words = [sys.executable, "-m", "pytest", "-m", "cuda", "tests"]
    done = subprocess.run(words, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    last = next((line for line in reversed(done.stdout.splitlines()) if line.strip()), "nothing was said")
    return f"`pytest -m cuda`: {'passes' if done.returncode == 0 else 'FAILS'}: {last}"


def race(job: Job, contestants: Sequence[str] = CONTESTANTS, *, n_steps: int = N_STEPS) -> str:
    """Wall time of a step, contestant by contestant; the first is left out."""
    rows, failures = [], []
    for name in contestants:
        with ExitStack() as stack:
            try:
                process = stack.enter_context(ContestantProcess(name, job))
                process.wait_until_ready()
                wall = process.ask("step", n=n_steps + 1)["wall_s"][1:]
                memory, quality = process.ask("memory"), process.ask("quality")
            except (OSError, CalledProcessError, RuntimeError) as error:
                failures.append(f"{TITLES[name]} left out: {str(error).strip().splitlines()[-1]}")
                continue
        version = f"{TITLES[name]} {process.hello['version']}".strip()
        gpu = f"{memory['gpu_bytes'] / 2**30:.2f}"
        rows.append((version, f"{1e3 * median(wall):.1f}", gpu, f"{quality['fvu']:.4f}"))
    table = markdown_table(("", "ms/step", "GPU GiB", "FVU after"), rows)
    return "\n\n".join([f"d_in = {job.d_in}, batch {job.batch}, {n_steps} steps after 1.", table, *failures])


def harvest(root: Path) -> str:
    """Tokens a second of the whole stage: both passes and the evidence."""
    words = ("--set", "device=cuda", "--set", f"corpus.evidence_tokens={EVIDENCE_TOKENS}", "--features", str(N_JUDGED))
    _autointerp(sys.executable, "run", "demo", "--out", str(root), "--until", "train", *words)
    start = time.monotonic()
    _autointerp(sys.executable, "run", "demo", "--out", str(root), "--until", "harvest", *words)
    seconds = time.monotonic() - start
    manifest = json.loads((root / "manifest.json").read_text())
    n_tokens = sum(manifest["stages"]["harvest"]["evidence_tokens"].values())
    return f"{n_tokens:,} tokens in {seconds:.0f} s, start of the process included: {n_tokens / seconds:,.0f} tokens/s."


def judge_command(run: Path, out: Path, model: str) -> list[str]:
    judge = f"vllm:{model}"
    return [
        *("rescore", str(run), "--out", str(out), "--features", str(N_JUDGED), "--json"),
        *("--set", f"explain.judge={judge}", "--set", f"score.judge={judge}"),
    ]


def judging(run: Path, out: Path, *, python: str, model: str) -> str:
    start = time.monotonic()
    summary = json.loads(_autointerp(python, *judge_command(run, out, model)))
    seconds = time.monotonic() - start
    rows = [
        (entry["dictionary"], entry["scorer"], f"{entry['f1']['mean']:.3f}", f"{entry['unparsed_frac']:.1%}")
        for entry in summary["entries"]
    ]
    table = markdown_table(("dictionary", "scorer", "F1", "unparsed"), rows)
    return f"vllm:{model}, {N_JUDGED} features a dictionary: {seconds:.0f} s, the model's loading included.\n\n{table}"


def _autointerp(python: str, *words: str) -> str:
    done = subprocess.run(
        [python, "-m", "autointerp", *words], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    return done.stdout


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure everything and write the report; the exit code, 2 without a GPU."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--judge", default="Qwen/Qwen3-8B", help="the model that vLLM judges with")
    parser.add_argument("--vllm-python", default=".venv-vllm/bin/python", help="the interpreter that has vLLM")
    options = parser.parse_args(arguments)
    refused = refusal(has_cuda=torch.cuda.is_available())
    if refused is not None:
        print(refused, file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        run, judged = Path(folder) / "run", Path(folder) / "judged"
        parts = [
            f"Device: {torch.cuda.get_device_name()}, {torch.cuda.device_count()} of them.",
            section("Correctness", correctness),
            *(section(title, lambda job=job: race(replace(job, device="cuda"))) for title, job in JOBS),
            section("Harvest", lambda: harvest(run)),
            section(
                "vLLM as judge",
                lambda: judging(run, judged, python=options.vllm_python, model=options.judge),
            ),
        ]
    print(write_report("gpu", "On a GPU", parts, size="full"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
