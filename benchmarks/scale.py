"""How judging scales with workers: one made-up run scored by 1, 2 and 4 workers of each engine, on one local endpoint.

`python -m benchmarks.scale --size quick|full`. The endpoint (`judge_server`) answers every request after a fixed time,
and every worker may have the same number of requests under way, so that the ideal is `workers * in flight / latency`.
Steady figures are of the replies between the first and the last fifth, by the times in the journal; the others are of
the whole stage, workers started and journals merged.
"""

from __future__ import annotations

import argparse
import sqlite3
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from autointerp import pipeline
from autointerp.config.loading import parse_config
from autointerp.config.tree import Config
from autointerp.records.evidence_file import write_evidence
from autointerp.records.planted import plant_evidence
from autointerp.runs.digests import finish_stage
from autointerp.runs.layout import RunLayout
from autointerp.runs.manifest import open_run
from benchmarks.judge_speed import serve
from benchmarks.tables import markdown_table, write_report

__all__ = ["Measured", "measure", "steady_per_s"]

WORKERS = (1, 2, 4)
ENGINES = ("local", "ray")
IN_FLIGHT, LATENCY_S = 8, 2.0
N_FEATURES = {"quick": 120, "full": 480}
"""A request or two each."""
WANTED = 0.9
_EDGE_FRAC = 0.2
_READABLE = {"answers": [1, 0, 1, 1, 0, 0, 1, 0, 0, 1]}


class Measured(NamedTuple):
    engine: str
    n_workers: int
    steady_per_s: float
    whole_s: float
    n_requests: int
    scores: bytes

    @property
    def ideal_per_s(self) -> float:
        return self.n_workers * IN_FLIGHT / LATENCY_S


def make_config(base_url: str, engine: str, n_workers: int) -> Config:
    n = len(_READABLE["answers"])
    scorer = {"name": "detection", "n_positive": n // 2, "n_negative": n // 2, "windows_per_request": n}
    return parse_config(
        {
            "name": "scale",
            "dictionaries": [{"name": "planted", "kind": "identity"}],
            "score": {"scorers": [scorer | {"n_near_miss": 0}], "judge": "openai:served"},
            "controls": {"shuffled": 0.0},
            "judges": {"openai": {"base_url": base_url, "key_env": "", "probe": "off"}},
            "limits": {"max_concurrent": IN_FLIGHT * n_workers, "reuse": False},
            "engine": {"kind": engine, "workers": n_workers},
        }
    )


def measure(root: Path, base_url: str, engine: str, n_workers: int, n_features: int) -> Measured:
    """Explain and score a made-up run in `root`."""
    config, layout = make_config(base_url, engine, n_workers), RunLayout(root)
    manifest = open_run(layout, config)
    write_evidence(layout.evidence_file("planted"), [plant_evidence(feature) for feature in range(n_features)])
    for stage in ("train", "harvest"):
        finish_stage(manifest, layout, stage, {}, dictionaries=["planted"])
    pipeline.run(config, out=root, last="explain")
    start = time.monotonic()
    pipeline.run(config, out=root, last="score")
    whole_s = time.monotonic() - start
    pipeline.run(config, out=root)
    with closing(sqlite3.connect(layout.journal)) as journal:
        times = [at for (at,) in journal.execute("SELECT at FROM replies WHERE model = 'served' ORDER BY at")]
    return Measured(engine, n_workers, steady_per_s(times), whole_s, len(times), layout.scores.read_bytes())


def steady_per_s(times: list[float]) -> float:
    """Replies per second without the first and the last fifth."""
    edge = int(_EDGE_FRAC * len(times))
    middle = times[edge : len(times) - edge]
    return (len(middle) - 1) / (middle[-1] - middle[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=tuple(N_FEATURES), default="quick")
    size = parser.parse_args().size
    found = []
    with serve(LATENCY_S) as base_url, tempfile.TemporaryDirectory() as folder:
        for engine in ENGINES:
            for n_workers in WORKERS:
                root = Path(folder) / f"{engine}-{n_workers}"
                found.append(measure(root, base_url, engine, n_workers, N_FEATURES[size]))
                print(found[-1][:-1], flush=True)
    heads = ("engine", "workers", "ideal req/s", "steady req/s", "of the ideal", "whole stage s", "requests")
    rows = [
        (
            m.engine,
            str(m.n_workers),
            f"{m.ideal_per_s:.0f}",
            f"{m.steady_per_s:.1f}",
            f"{m.steady_per_s / m.ideal_per_s:.3f}",
            f"{m.whole_s:.1f}",
            f"{m.n_requests:,}",
        )
        for m in found
    ]
    are_equal = len({m.scores for m in found}) == 1
    at_four = [m.steady_per_s / m.ideal_per_s for m in found if m.n_workers == max(WORKERS)]
    parts = [
        f"A local server answers every request after {LATENCY_S:g} s; {IN_FLIGHT} requests under way per worker.",
        markdown_table(heads, rows),
        f"scores.parquet of all runs equal: {'yes' if are_equal else 'NO'}. Wanted: {WANTED} of the ideal at "
        f"{max(WORKERS)} workers; least measured {min(at_four):.3f}.",
    ]
    print(write_report("scale", "Judging by several workers", parts, size=size))


if __name__ == "__main__":
    main()
