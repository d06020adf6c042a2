"""A finished run to be attacked: small, with prices, shards and figures of its dictionaries; made once, then copied."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from autointerp import pipeline
from autointerp.config.tree import Config
from autointerp.records.evidence import Evidence
from autointerp.records.evidence_file import write_evidence
from autointerp.runs.digests import finish_stage
from autointerp.runs.layout import RunLayout
from autointerp.runs.manifest import open_run
from autointerp.runs.shards import parse_shard
from autointerp.seeds import unit_hash
from autointerp.stages.merge import merge_runs
from tests.judges.fault_server import FaultServer
from tests.score.planted import NAMES, fires_on, make_evidence
from tests.stages.harvested import make_config

__all__ = ["DICTIONARIES", "make_harvested", "make_small", "make_target"]

DICTIONARIES = ("neurons", "sae")
_FEATURES = (2, 3, 13, 15)
"""Two of either shard."""
_SCORER = {"name": "detection", "n_positive": 5, "n_negative": 5, "n_near_miss": 2}
_QUALITY = {
    "kind": "topk",
    "n_features": 64,
    "l0": 3.25,
    "fvu": 0.25,
    "explained_variance": 0.75,
    "dead_frac": 0.125,
    "fidelity": {"clean": 2.0, "spliced": 2.5, "zero": 4.0, "mean": 3.0, "recovered_zero_frac": 0.75},
}


def make_target(root: Path, *, seed: int = 0) -> RunLayout:
    """The run in `root`: explained and scored in two shards by a served judge that asks for money, merged, reported.
    Another `seed` gives another run of the same names."""
    with FaultServer(answer=_answer) as server:
        config = _config(server.base_url, seed)
        layout = make_harvested(root, config, has_weights=True)
        for last in ("explain", "score"):
            for shard in ("1/2", "2/2"):
                pipeline.run_shard(config, out=root, shard=parse_shard(shard), last=last)
        merge_runs(root)
        pipeline.run(config, out=root)
    return layout


def make_harvested(root: Path, config: Config, *, has_weights: bool = False) -> RunLayout:
    """The run in `root` up to its evidence, with dictionaries that could be harvested again if that is asked for."""
    layout = RunLayout(root)
    manifest = open_run(layout, config)
    for name in DICTIONARIES:
        write_evidence(layout.evidence_file(name), _evidence(name, config.seed))
        layout.dictionary(name).mkdir(parents=True)
        if has_weights:
            _save_dictionary(layout.dictionary(name), seed=len(name) + config.seed)
        layout.quality(name).write_text(json.dumps(_QUALITY | {"l0": len(name) + config.seed}, indent=1))
    for stage in ("train", "harvest"):
        finish_stage(manifest, layout, stage, {}, dictionaries=DICTIONARIES)
    return layout


def make_small(root: Path, *overrides: str) -> RunLayout:
    """A finished run without a server: one process, a judge that guesses."""
    config = make_config(*overrides, score={"scorers": [_SCORER], "judge": "coin"}, explain={"judge": "coin"})
    layout = make_harvested(root, config)
    pipeline.run(config, out=root)
    return layout


def _config(base_url: str, seed: int) -> Config:
    prices = {"usd_per_million_input_tokens": 2.0, "usd_per_million_output_tokens": 8.0}
    return make_config(
        *("explain.judge='openai:served'", "score.judge='openai:served'", "limits.reuse=false", f"seed={seed}"),
        judges={"openai": {"base_url": base_url, "key_env": "", "probe": "off", **prices}},
        score={"scorers": [_SCORER]},
        name="target",
    )


def _save_dictionary(folder: Path, *, seed: int) -> None:
    from autointerp.harvest.firing import FiringRules
    from sae_core.build import build_dictionary
    from sae_core.checkpoint import save_dictionary
    from sae_core.config import DictionaryConfig

    save_dictionary(build_dictionary(DictionaryConfig(kind="topk", n_features=12, k=3), d_in=6, seed=seed), folder)
    FiringRules.above_zero(12).save(folder)


def _evidence(dictionary: str, seed: int) -> list[Evidence]:
    return [
        make_evidence(fires_on(token), feature=feature, dictionary=dictionary, n_documents=40, seed=seed)
        for feature, token in zip(_FEATURES, NAMES, strict=False)
    ]


def _answer(body: dict[str, Any]) -> str:
    """A reply that follows from the question: each window's answer is a hash of its text."""
    said = body["messages"][-1]["content"]
    windows = re.findall(r'^\d+: (".*")$', said, re.MULTILINE)
    if "Number of windows" not in said:
        return f"[EXPLANATION]: the rule number {unit_hash('rule', said):.6f}"
    return json.dumps({"answers": [int(unit_hash("answer", window) < 0.5) for window in windows]})
