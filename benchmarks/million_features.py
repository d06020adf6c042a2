"""How a run grows with its features: time, memory and bytes of explaining, scoring, report and site.

`python -m benchmarks.million_features --features 1000000 --folder DIR` makes up the evidence (20 windows a feature, a
planted rule), has it explained and scored by a scripted judge, and writes `results/bench/million_features.md`. Every
stage is a process of its own, as a user starts it. Explaining and scoring are killed half way and taken up again; the
time until the first new reply is the start of a resumed run.
"""

from __future__ import annotations

import argparse
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path

import tomli_w

from autointerp.board.summary import read_summary
from autointerp.config.loading import parse_config
from autointerp.records.document import Role
from autointerp.records.evidence import Evidence, FiringCounts, FiringRule, TokenEffect, TokenUse
from autointerp.records.evidence_file import write_evidence
from autointerp.records.window import ACTIVATING, Kind, Window
from autointerp.runs.digests import finish_stage
from autointerp.runs.layout import RunLayout
from autointerp.runs.manifest import open_run
from benchmarks.environments import REPOSITORY
from benchmarks.process_memory import memory_bytes
from benchmarks.tables import markdown_table, write_report

N_TOKENS = 16
N_DOCUMENTS = 5_000
PLACES: tuple[tuple[Role, Kind, int], ...] = (
    ("explain", "top", 4),
    ("explain", "bin", 2),
    ("explain", "random", 2),
    ("score", "top", 3),
    ("score", "bin", 3),
    ("score", "random", 6),
)
"""The windows of a feature: 20."""
FIRES, ODD = " lantern", " beacon"
"""The judge knows the first; of a feature's score windows, the number modulo 4 fire on the second."""
WORDS = (" the", " river", " of", " stone", " and", " winter", " was", " silver", " to", " garden", " in", " marble")


@dataclass(frozen=True, slots=True)
class Measured:
    """One stage, as its process was seen from outside."""

    stage: str
    wall_s: float
    cpu_s: float
    peak_bytes: int
    # until a run that was killed half way had its first new reply
    resumed_s: float | None = None


def settings(n_dictionaries: int) -> dict:
    """One explainer, one scorer, one question each; a tenth of the features twice, as controls."""
    scorer = {"name": "detection", "n_positive": 5, "n_negative": 5, "n_near_miss": 0, "negatives": "random"}
    return {
        "name": "million",
        "dictionaries": [{"name": f"d{number:02}", "kind": "identity"} for number in range(n_dictionaries)],
        "explain": {"judge": "literal", "explainers": [{"name": "windows", "n_windows": 5}]},
        "score": {"judge": "literal", "scorers": [scorer]},
        "controls": {"shuffled": 0.1, "empty": 0.0, "generic": 0.0},
        "judges": {"literal": {"explanation": f"regex:{FIRES}"}},
    }


def make_run(root: Path, tree: dict, *, n_features: int) -> RunLayout:
    """A harvested run of the config `tree`, written as harvest writes it; the config beside it."""
    layout, config = RunLayout(root), parse_config(tree)
    manifest = open_run(layout, config)
    names = [entry.name for entry in config.every_dictionary]
    for number, name in enumerate(names):
        n_own = len(range(number, n_features, len(names)))
        write_evidence(layout.evidence_file(name), planted(name, n_own))
    for stage in ("train", "harvest"):
        finish_stage(manifest, layout, stage, {}, dictionaries=names)
    config_of(root).write_text(tomli_w.dumps(tree))
    return layout


def config_of(root: Path) -> Path:
    return root.with_suffix(".toml")


def planted(dictionary: str, n_features: int) -> Iterator[Evidence]:
    """Features that fire on one token; no two windows have the same text."""
    shapes = [planted_shape(n_odd) for n_odd in range(4)]
    for feature in range(n_features):
        shape = shapes[feature % 4]
        windows = tuple(own_window(window, dictionary, feature, place) for place, window in enumerate(shape.windows))
        density = 1e-4 * (1 + feature % 997)
        yield replace(shape, dictionary=dictionary, feature=feature, density=density, windows=windows)


def own_window(window: Window, dictionary: str, feature: int, place: int) -> Window:
    """The window with a last token of its own, in one of many documents."""
    ending = f" {dictionary}.{feature}.{place}"
    number = (feature * len(PLACES) + place) % N_DOCUMENTS
    document = f"{window.role}/{number}"
    starts = (*window.token_starts[:-1], window.token_starts[-2] + len(ending))
    text = window.text[: window.token_starts[-2]] + ending
    name = f"{document}@{feature}+{place}"
    return replace(window, id=name, document=document, offset=feature, text=text, token_starts=starts)


def planted_shape(n_odd: int) -> Evidence:
    """What the features share whose first `n_odd` firing score windows fire on the token the judge does not know."""
    windows = []
    for role, kind, n in PLACES:
        for number in range(n):
            is_odd = role == "score" and kind == "top" and number < n_odd
            windows.append(planted_window(role, kind, len(windows), ODD if is_odd else FIRES))
    return Evidence(
        dictionary="",
        feature=0,
        site="mlp_post.0",
        rule=FiringRule("above_zero"),
        n_tokens=10_000_000,
        n_firing=1000,
        density=1e-4,
        max_activation=8.0,
        histogram_edges=(1.0, 2.0, 4.0, 8.0),
        histogram_counts=(600, 300, 100),
        windows=tuple(windows),
        top_logits=tuple(TokenEffect(n, f" up{n}", 1.0 - n / 20) for n in range(10)),
        bottom_logits=tuple(TokenEffect(n, f" down{n}", n / 20 - 1.0) for n in range(10)),
        token_uses=(TokenUse(1, FIRES, 900, 1000), TokenUse(2, ODD, 100, 1000)),
        neuron=None,
        unscored=None,
        counts=FiringCounts((300, 150, 50), (300, 150, 50), 500_000, 1000),
    )


def planted_window(role: Role, kind: Kind, number: int, token: str) -> Window:
    pieces = [WORDS[(7 * number + 5 * place) % len(WORDS)] for place in range(N_TOKENS - 1)] + [" end"]
    candidate = 3 + number % 9
    strength = 8.0 - number / 4 if kind == "top" else 1.0 + number / 20
    activations = [0.0] * N_TOKENS
    if kind in ACTIVATING:
        pieces[candidate], activations[candidate] = token, strength
    return Window(
        id="",
        document="",
        offset=0,
        role=role,
        kind=kind,
        bin=(2 if kind == "top" else 0) if kind in ACTIVATING else None,
        text="".join(pieces),
        token_ids=tuple(range(N_TOKENS)),
        token_starts=(0, *accumulate(map(len, pieces))),
        activations=tuple(activations),
        candidate=candidate,
    )


def measure(stage: str, command: Sequence[str], *, resumed_s: float | None = None) -> Measured:
    """The command's time and its process's largest resident size. Raises RuntimeError when it fails."""
    start = time.perf_counter()
    process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.DEVNULL)
    pid, peak_bytes = 0, 0
    while not pid:
        # what wait4 says counts its parent's, from which it was forked
        peak_bytes = max(peak_bytes, memory_bytes(process.pid, "VmHWM"))
        time.sleep(0.2)
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}")
    wall_s, cpu_s = time.perf_counter() - start, usage.ru_utime + usage.ru_stime
    return Measured(stage, wall_s, cpu_s, peak_bytes, resumed_s)


def resume(command: Sequence[str], journal: Path, *, kill_at: int) -> float:
    """Kill the stage at a number of replies, start it anew, and return the seconds until it has one more."""
    for wanted, is_last in ((kill_at, False), (None, True)):
        n_before, start = n_replies(journal), time.perf_counter()
        process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.DEVNULL)
        while (n := n_replies(journal)) < (n_before + 1 if wanted is None else wanted):
            time.sleep(0.05 if n < 10_000 else 0.5)
            if process.poll() is not None:
                raise RuntimeError(f"the stage ended at {n:,} replies, before it was killed: raise --features")
        resumed_s = time.perf_counter() - start
        process.send_signal(signal.SIGKILL)
        process.wait()
        if is_last:
            return resumed_s
    raise AssertionError


def n_replies(journal: Path) -> int:
    """By the last row's number, which costs nothing to find."""
    if not journal.is_file():
        return 0
    with closing(sqlite3.connect(f"file:{journal}?mode=ro", uri=True, timeout=30)) as connection:
        try:
            return connection.execute("SELECT coalesce(max(rowid), 0) FROM replies").fetchone()[0]
        except sqlite3.OperationalError:
            return 0


def run_stages(layout: RunLayout, *, n_features: int) -> list[Measured]:
    """All stages after harvest, in turn."""
    own = [sys.executable, "-m", "autointerp"]
    run = [*own, "run", str(config_of(layout.root)), "--out", str(layout.root)]
    found = []
    for stage, share in (("explain", 0.5), ("score", 1.5)):
        command = [*run, "--until", stage]
        resumed_s = resume(command, layout.journal, kill_at=int(share * n_features))
        found.append(measure(stage, command, resumed_s=resumed_s))
        print(found[-1], flush=True)
    site = layout.root.parent / "site"
    for stage, command in (
        ("report", [*run, "--until", "report"]),
        ("site", [*own, "site", str(layout.root), "--out", str(site)]),
    ):
        found.append(measure(stage, command))
        print(found[-1], flush=True)
    return found


def sizes(layout: RunLayout) -> dict[str, int]:
    """Bytes of what a run leaves, by name."""
    site = layout.root.parent / "site"
    return {
        "evidence": sum(path.stat().st_size for path in layout.evidence.glob("*.parquet")),
        "journal": layout.journal.stat().st_size,
        "scores.parquet": layout.scores.stat().st_size,
        "report.html": layout.report.stat().st_size,
        "site": sum(path.stat().st_size for path in site.rglob("*") if path.is_file()),
    }


def require_planted(layout: RunLayout) -> None:
    """Raise RuntimeError unless the scores are those of the planted rule."""
    for entry in read_summary(layout.summary)["entries"]:
        f1 = entry["f1"]["mean"]
        if not 0.8 < f1 < 0.95 or entry["n_scored"] != entry["n_sampled"]:
            raise RuntimeError(f"{entry['name']}: F1 {f1:.3f} of {entry['n_scored']} of {entry['n_sampled']} features")


def render(
    made: Measured, stages: Sequence[Measured], bytes_of: dict[str, int], *, n: int, n_dictionaries: int
) -> list[str]:
    rows = [
        [
            m.stage,
            f"{m.wall_s:,.0f}",
            f"{1e3 * m.cpu_s / n:.2f}",
            f"{m.peak_bytes / 2**30:.2f}",
            "" if m.resumed_s is None else f"{m.resumed_s:.1f}",
        ]
        for m in (made, *stages)
    ]
    heads = ["stage", "wall s", "CPU ms per feature", "peak GiB", "resumed: s to the first new reply"]
    table = markdown_table(heads, rows)
    kept = markdown_table(
        ["", "bytes per feature", "GB"],
        [[name, f"{size / n:,.0f}", f"{size / 1e9:.2f}"] for name, size in bytes_of.items()],
    )
    about = (
        f"{n:,} features in {n_dictionaries} dictionaries, 20 windows of {N_TOKENS} tokens each; one explainer, one "
        "scorer with ten windows a question, a tenth of the features twice (controls), answered by the scripted judge "
        "`literal`. Every stage is a process of its own; explaining and scoring were killed half way and taken up "
        f"again. `python -m benchmarks.million_features --features {n} --folder DIR`"
    )
    return [about, table, kept]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--features", type=int, default=10_000)
    parser.add_argument("--dictionaries", type=int, default=16)
    parser.add_argument("--folder", type=Path, required=True, help="an empty folder; 20 kB a feature")
    options = parser.parse_args()
    root, n = options.folder.resolve() / "run", options.features
    start, cpu_s = time.perf_counter(), time.process_time()
    layout = make_run(root, settings(options.dictionaries), n_features=n)
    made = Measured("evidence made up", time.perf_counter() - start, time.process_time() - cpu_s, 0)
    stages = run_stages(layout, n_features=n)
    require_planted(layout)
    parts = render(made, stages, sizes(layout), n=n, n_dictionaries=options.dictionaries)
    print(write_report("million_features", f"{n:,} features", parts, size="full" if n >= 1_000_000 else str(n)))


if __name__ == "__main__":
    main()
