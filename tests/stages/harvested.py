"""A harvested run made on the spot, without torch: planted features whose evidence explain and score can start from."""

from __future__ import annotations

import functools
from pathlib import Path

from autointerp.config.loading import parse_config
from autointerp.config.tree import Config
from autointerp.records.evidence import Evidence
from autointerp.records.evidence_file import write_evidence
from autointerp.runs.digests import finish_stage
from autointerp.runs.layout import RunLayout
from autointerp.runs.manifest import open_run
from tests.score.planted import FILLERS, NAMES, fires_on, make_evidence

__all__ = ["DICTIONARIES", "FEATURES", "make_config", "make_run"]

DICTIONARIES = ("neurons", "sae")
TOKENS = NAMES[:7]
FEATURES = [7 * number + 3 for number in range(len(TOKENS))]


@functools.cache
def evidence_of(dictionary: str) -> tuple[Evidence, ...]:
    """Features that fire on one token each; the last fires too rarely to be scored."""
    planted = [
        make_evidence(fires_on(token), feature=feature, dictionary=dictionary, n_documents=80)
        for feature, token in zip(FEATURES, TOKENS, strict=True)
    ]
    rare = make_evidence(fires_on(FILLERS[0]), feature=FEATURES[-1] + 7, dictionary=dictionary, n_documents=12)
    return (*planted, rare)


def make_config(*overrides: str, **sections: object) -> Config:
    """Two dictionaries, both scorers, half of the features as controls, no judge that is an LLM."""
    scorers = [
        {"name": "marked", "n_positive": 5, "n_negative": 5, "n_near_miss": 0, "negatives": "other_feature"},
        {"name": "detection", "n_positive": 6, "n_negative": 6, "n_near_miss": 2, "windows_per_request": 5},
    ]
    tree = {
        "name": "sharded",
        "dictionaries": [{"name": name, "kind": "identity"} for name in DICTIONARIES],
        "score": {"scorers": scorers, "judge": "coin"},
        "controls": {"shuffled": 0.5},
    }
    return parse_config(tree | sections, overrides)


def make_run(root: Path, config: Config, *, n_features: int | None = None) -> RunLayout:
    """A run of which train and harvest are done; of `n_features` per dictionary where fewer are enough."""
    layout = RunLayout(root)
    manifest = open_run(layout, config)
    for name in DICTIONARIES:
        write_evidence(layout.evidence_file(name), evidence_of(name)[-(n_features or 0) :])
    for stage in ("train", "harvest"):
        finish_stage(manifest, layout, stage, {}, dictionaries=DICTIONARIES)
    return layout
