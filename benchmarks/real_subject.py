"""What a run on a real model costs, stage by stage, as ratios of things measured in turn on the same machine.

`python -m benchmarks.real_subject MODEL --layer 10` (a directory or a fetched name). One thread; contestants of a row
take a round each in turn, and the figure is the median CPU time of the rounds after the first.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM

from autointerp import pipeline
from autointerp.config.loading import load_config
from autointerp.config.sites import SitePoint
from autointerp.config.tree import CorpusConfig, SubjectConfig
from autointerp.runs.layout import RunLayout
from autointerp.stages.ready_dictionaries import reopen
from autointerp.stages.workbench import open_workbench
from autointerp.subject.activations import SharedForward, iter_training_batches
from autointerp.subject.corpus import open_corpus
from autointerp.subject.loading import locate_model
from autointerp.subject.model import Subject, load_subject
from autointerp.subject.packing import PackedBatch
from autointerp.subject.precision import LEAST_SAME_FRAC, compare_rounding
from benchmarks.process_memory import memory_bytes
from benchmarks.tables import markdown_table, write_report
from sae_core.device import has_fast_bfloat16

CONTEXT_TOKENS, BATCH_CONTEXTS = 128, 16


@dataclass(frozen=True)
class Job:
    """A model, read at one layer, and how much text is read per round."""

    model: str
    layer: int
    n_tokens: int
    n_rounds: int
    n_run_tokens: int

    @cached_property
    def subject(self) -> Subject:
        return load_subject(SubjectConfig(model=self.model, layer=self.layer, dtype="float32"), device="cpu")

    @cached_property
    def batches(self) -> list[PackedBatch]:
        corpus = open_corpus(CorpusConfig())
        sizes = {"context_tokens": CONTEXT_TOKENS, "batch_contexts": BATCH_CONTEXTS}
        return list(iter_training_batches(self.subject, corpus, max_tokens=self.n_tokens, **sizes))


def median_s(works: Mapping[str, Callable[[], Any]], *, n_rounds: int) -> dict[str, float]:
    """CPU seconds of each work, in turn."""
    took: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(1 + n_rounds):
        for name, work in works.items():
            start = time.process_time()
            work()
            took[name].append(time.process_time() - start)
    return {name: median(seconds[1:]) for name, seconds in took.items()}


def forward(job: Job) -> list[list[str]]:
    """Ours against transformers alone, cut off behind the layer, on the same text; float32 both, then bfloat16."""
    plain, subject = _cut_off(job), job.subject
    points = {name: SitePoint(name, job.layer) for name in ("mlp_post", "resid_post")}

    def read(point: SitePoint, dtype: torch.dtype) -> None:
        subject.dtype = dtype
        for batch in job.batches:
            subject.activations(batch.tokens, [point])
        subject.dtype = torch.float32

    works: dict[str, Callable[[], Any]] = {"transformers": lambda: [plain(batch.tokens) for batch in job.batches]}
    wanted = {torch.float32: 0.9} | ({torch.bfloat16: 1.8} if has_fast_bfloat16(subject.device) else {})
    for dtype in wanted:
        works |= {f"{point}, {_name(dtype)}": partial(read, point, dtype) for point in points.values()}
    took = median_s(works, n_rounds=job.n_rounds)
    speed = {name: job.n_tokens / seconds for name, seconds in took.items()}
    theirs = speed["transformers"]
    return [
        [
            f"forward to {name}",
            f"{speed[name]:,.0f} tok/s",
            f"{theirs:,.0f} tok/s",
            f"{speed[name] / theirs:.2f}",
            f"≥ {least}",
        ]
        for dtype, least in wanted.items()
        for name in (f"{point}, {_name(dtype)}" for point in points.values())
    ]


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def two_sites(job: Job) -> list[list[str]]:
    """Two layers read for training from one pass, against a pass of the deeper one alone."""
    deep, early = (SitePoint("mlp_post", layer) for layer in (job.layer, job.layer // 2))
    for point in (deep, early):
        job.subject.check(point)

    def read(*points: SitePoint) -> None:
        shared = SharedForward(job.subject, points)
        for number, batch in enumerate(job.batches):
            for point in points:
                shared.rows(point, number, batch)

    took = median_s({"both": lambda: read(deep, early), "one": lambda: read(deep)}, n_rounds=job.n_rounds)
    speed = {name: f"{job.n_tokens / seconds:,.0f} tok/s" for name, seconds in took.items()}
    return [["one pass for two sites", speed["both"], speed["one"], f"{took['one'] / took['both']:.2f}", "≥ 0.9"]]


def bfloat16(job: Job) -> list[list[str]]:
    """What products in bfloat16 change at the layer's neurons and behind it, on the first tokens."""
    few = job.batches[: max(1, 4096 // (CONTEXT_TOKENS * BATCH_CONTEXTS))]
    rows = []
    for point in (SitePoint("mlp_post", job.layer), SitePoint("resid_post", job.layer)):
        change = compare_rounding(*(_text_rows(job.subject, few, point, dtype) for dtype in ("float32", "bfloat16")))
        same = [f"{change.same_frac:.2%} of firings", "float32's", f"{change.same_frac:.4f}", f"≥ {LEAST_SAME_FRAC}"]
        rows += [[f"bfloat16 at {point}", *same], ["", f"{change.error_frac:.3%} of the variance", "", "", ""]]
    return rows


@dataclass
class Clock:
    """A progress display that notes CPU seconds and counts by the first word of each label."""

    cpu_s: Counter[str] = field(default_factory=Counter)
    counted: Counter[str] = field(default_factory=Counter)
    _done: float = 0.0

    @contextmanager
    def bar(self, label: str, *, total: float | None = None, unit: str = "") -> Iterator[Clock]:
        start, self._done = time.process_time(), 0.0
        yield self
        name = label.split()[0].rstrip(":")
        self.cpu_s[name] += time.process_time() - start
        self.counted[name] += self._done

    def update(self, done: float, **_: object) -> None:
        self._done = done

    def say(self, text: str) -> None:
        return


def stages(job: Job) -> list[list[str]]:
    """A small run of the recipe `smollm2_mlp`, in a process of its own: each stage's share and the peak of memory."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        # without the subject that the job has loaded
        return pool.submit(_stages, replace(job)).result()


@contextmanager
def own_memory() -> Iterator[list[float]]:
    """GiB of this process every tenth of a second, without the pages of mapped files (activations on disk), which the
    system takes back when others want them.
    """
    found, is_over = [0.0], threading.Event()

    def look() -> None:
        while not is_over.wait(0.1):
            found.append(memory_bytes("self", "RssAnon") / 2**30)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        is_over.set()
        thread.join()


def _stages(job: Job) -> list[list[str]]:
    torch.set_num_threads(1)
    n_dictionary, n_evidence = job.n_run_tokens, job.n_run_tokens // 4
    changes = {"subject.model": repr(job.model), "subject.layer": job.layer, "train.activations": "'disk'"}
    changes |= {"corpus.dictionary_tokens": n_dictionary, "corpus.evidence_tokens": n_evidence}
    config = load_config("smollm2_mlp", [f"{key}={value}" for key, value in changes.items()])
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        with own_memory() as peak_gib:
            layout = pipeline.run(config, out=Path(folder) / "run", last="harvest", progress=clock)
        bench = open_workbench(config)
        read_s = _read_and_encode(layout, bench)
    weights_gib = sum(each.numel() for each in bench.subject.bridge.parameters()) * 4 / 2**30
    cpu, counted = clock.cpu_s, clock.counted
    training = cpu["store"] + cpu["train"]
    quality = cpu["quality"] + cpu["loss"]
    speed = {name: f"{counted[name] / cpu[name]:,.0f} tok/s" for name in ("store", "train", "harvest") if cpu[name]}
    whole = sum(cpu.values())
    shares = ", ".join(f"{name} {seconds / whole:.0%}" for name, seconds in cpu.most_common() if seconds > whole / 200)
    return [
        ["activations to disk", speed["store"], "", "", ""],
        [f"training of {len(config.dictionaries) - 3} dictionaries at once", speed["train"], "", "", ""],
        ["quality beside training", f"{quality:.0f} s", f"{training:.0f} s", f"{quality / training:.2f}", "≤ 0.15"],
        ["fitting thresholds beside training", f"{cpu['fit']:.0f} s", "", f"{cpu['fit'] / training:.2f}", ""],
        [
            "evidence, both passes, beside forward + encode of both",
            speed["harvest"],
            f"{counted['harvest'] / (2 * read_s):,.0f} tok/s",
            f"{2 * read_s / cpu['harvest']:.2f}",
            "≥ 0.6",
        ],
        [
            "peak memory beside 2.5 x the model in float32 + 1 GiB",
            f"{max(peak_gib):.2f} GiB",
            f"{2.5 * weights_gib + 1:.2f} GiB",
            f"{max(peak_gib) / (2.5 * weights_gib + 1):.2f}",
            "≤ 1",
        ],
        [f"shares of a run of {n_dictionary:,} + {n_evidence:,} tokens", shares, "", "", ""],
    ]


def _read_and_encode(layout: RunLayout, bench: Any) -> float:
    """CPU seconds of one forward and one encoding of the evidence text by all dictionaries."""
    dictionaries = [
        (bench.point(entry), reopen(entry, layout, device=bench.subject.device))
        for entry in bench.config.every_dictionary
    ]
    points = sorted({point for point, _ in dictionaries}, key=str)
    for point in points:
        bench.subject.check(point)
    start = time.process_time()
    for role in ("explain", "score"):
        for batch in bench.evidence_batches(role):
            found = bench.subject.activations(batch.tokens, points)
            for point, dictionary in dictionaries:
                dictionary.encode(found[point][batch.is_text])
    return time.process_time() - start


ROWS: dict[str, Callable[[Job], list[list[str]]]] = {
    "forward": forward,
    "two_sites": two_sites,
    "bfloat16": bfloat16,
    "stages": stages,
}


def _cut_off(job: Job) -> Callable[[Tensor], Tensor]:
    model: Any = AutoModelForCausalLM.from_pretrained(locate_model(job.model), dtype=torch.float32).eval().base_model
    n_layers = job.subject.n_layers
    (layers,) = (each for each in model.modules() if isinstance(each, nn.ModuleList) and len(each) == n_layers)
    del layers[job.layer + 1 :]

    @torch.no_grad()
    def run(tokens: Tensor) -> Tensor:
        return model(tokens, use_cache=False).last_hidden_state

    return run


def _text_rows(subject: Subject, batches: list[PackedBatch], point: SitePoint, dtype: str) -> Tensor:
    subject.check(point)
    subject.dtype = getattr(torch, dtype)
    rows = [subject.activations(batch.tokens, [point])[point][batch.is_text] for batch in batches]
    subject.dtype = torch.float32
    return torch.cat(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--layer", type=int, default=10)
    parser.add_argument("--tokens", type=int, default=4064, help="per round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--run-tokens", type=int, default=200_000, help="trained on in the run that `stages` measures")
    parser.add_argument("--only", nargs="+", choices=ROWS, default=list(ROWS))
    options = parser.parse_args()
    torch.set_num_threads(1)
    job = Job(options.model, options.layer, options.tokens, options.rounds, options.run_tokens)
    rows: list[list[str]] = []
    for name in options.only:
        found = ROWS[name](job)
        rows += found
        print(*(" | ".join(row) for row in found), sep="\n", flush=True)
    table = markdown_table(["what", "ours", "beside", "ratio", "wanted"], rows)
    print(write_report("real_subject", "A run on a real model", [table], size="full"))


if __name__ == "__main__":
    main()
