"""A run on a subject whose first token in every context is an attention sink: what becomes of it is said and kept."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from autointerp import pipeline
from autointerp.config.loading import parse_config
from autointerp.config.sites import SitePoint
from autointerp.config.tree import Config
from autointerp.errors import ConfigError
from autointerp.records.evidence_file import read_evidence
from autointerp.runs.layout import RunLayout
from autointerp.stages.workbench import Workbench, open_workbench
from sae_core.checkpoint import load_dictionary
from tests.stages.planted_subject import save_planted, save_words

POINT = SitePoint("resid_pre", 0)
WIDTH, N_VOCAB, CONTEXT, SUNK = 8, 60, 32, 2
"""The sinks lie along coordinate SUNK, ten times as long as the median."""


@dataclass(frozen=True)
class World:
    tree: dict[str, Any]
    root: Path

    def config(self, **subject: Any) -> Config:
        return parse_config(self.tree | {"subject": self.tree["subject"] | subject})

    def run(self, name: str, **subject: Any) -> RunLayout:
        """A run of all stages; made once."""
        layout = RunLayout(self.root / name)
        return layout if layout.summary.exists() else pipeline.run(self.config(**subject), out=layout.root)

    def bench(self) -> Workbench:
        return open_workbench(self.config())


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    root = tmp_path_factory.mktemp("sinks")
    draw = torch.Generator().manual_seed(0)
    tokens, positions = torch.randn(N_VOCAB, WIDTH, generator=draw), torch.zeros(CONTEXT, WIDTH)
    positions[0, SUNK] = 30.0
    model = save_planted(root / "model", tokens=tokens, positions=positions)
    corpus = save_words(root / "words.jsonl", n_vocab=N_VOCAB, n_documents=200, n_words=90)
    tree = {
        "name": "sunk",
        "device": "cpu",
        "subject": {"model": str(model), "site": POINT.site, "context_tokens": CONTEXT, "batch_contexts": 8},
        "corpus": {"path": str(corpus), "dictionary_tokens": 4096, "evidence_tokens": 6400},
        "train": {"batch_tokens": 128, "buffer_tokens": 1024},
        "dictionaries": [
            {"name": "basis", "kind": "identity", "density": 0.05},
            {"name": "sae", "kind": "relu", "n_features": 16},
        ],
        "harvest": {
            "n_features": "all",
            "min_firing": 5,
            "window_left": 4,
            "window_right": 3,
            "n_top": 4,
            "n_bins": 2,
            "n_per_bin": 3,
            "n_random": 8,
            "n_near_miss": 2,
        },
        "explain": {"judge": "pattern", "explainers": [{"name": "windows", "n_windows": 4}]},
        "score": {"judge": "pattern", "scorers": [{"name": "detection", "n_positive": 4, "n_negative": 4}]},
    }
    return World(tree, root)


def _quality(layout: RunLayout) -> dict[str, Any]:
    return json.loads(layout.quality("sae").read_text())


def _lines(layout: RunLayout) -> list[str]:
    return [line for line in layout.log.read_text().splitlines() if ": attention sinks " in line]


@pytest.mark.parametrize(("sinks", "said"), [("mask", "left out"), ("keep", "kept (subject.sinks = 'keep')")])
def test_sinks_are_told_in_a_line_and_in_the_summary(sinks: str, said: str, world: World) -> None:
    layout = world.run(sinks, sinks=sinks)
    (line,) = _lines(layout)
    assert f"resid_pre.0: attention sinks {said}: 3.12% of the text tokens" in line and "positions 0 (128)" in line
    for entry in json.loads(layout.summary.read_text())["entries"]:
        assert entry["sinks"] == _quality(layout)["sinks"]
        assert entry["sinks"]["positions"] == {"0": 128} and entry["sinks"]["variance_frac"] > 0.7
        assert entry["protocol"]["evidence"].get("sinks") == ("keep" if sinks == "keep" else None)


def test_training_and_quality_are_those_of_ordinary_tokens(world: World) -> None:
    masked, kept = world.run("mask"), world.run("keep", sinks="keep")
    bench = world.bench()
    (batch, *_) = bench.evidence_batches("score", max_tokens=2048)
    x = bench.subject.activations(batch.tokens, [POINT])[POINT][:, 1:]
    scale = float(load_dictionary(masked.dictionary("sae")).input_scale)
    assert scale == pytest.approx(WIDTH**0.5 / float(x.norm(dim=-1).mean()), rel=0.05)
    assert scale > 1.2 * float(load_dictionary(kept.dictionary("sae")).input_scale)
    rows = x.flatten(0, 1)
    error = (rows - load_dictionary(masked.dictionary("sae"))(rows)).square().sum()
    fvu = float(error / (rows - rows.mean(dim=0)).square().sum())
    assert _quality(masked)["fvu"] == pytest.approx(fvu, rel=0.1)
    assert _quality(kept)["fvu"] > 1.5 * fvu, "what is kept is measured"


def _late_fvu(world: World, layout: RunLayout) -> float:
    """Of the tokens from position 8 on, which no sink is near."""
    bench = world.bench()
    batches = bench.evidence_batches("score")
    rows = torch.cat(
        [bench.subject.activations(batch.tokens, [POINT])[POINT][:, 8:][batch.is_text[:, 8:]] for batch in batches]
    )
    error = (rows - load_dictionary(layout.dictionary("sae"))(rows)).square().sum()
    return float(error / (rows - rows.mean(dim=0)).square().sum())


def test_without_bos_the_fvu_is_that_of_later_positions(world: World) -> None:
    """The subject has no BOS, so its sinks are text; kept, the figure is theirs."""
    assert world.bench().subject.bos_id is None
    masked, kept = world.run("mask"), world.run("keep", sinks="keep")
    assert _quality(masked)["fvu"] == pytest.approx(_late_fvu(world, masked), rel=0.05)
    assert _quality(kept)["fvu"] != pytest.approx(_late_fvu(world, kept), rel=0.3)


def test_loss_recovered_leaves_sinks_as_they_are(world: World) -> None:
    bench = world.bench()
    losses, n_tokens = 0.0, 0
    for batch in bench.evidence_batches("score"):
        ordinary = batch.without_first(1)
        found = bench.subject.spliced_loss(batch.tokens, ordinary.is_text, point=POINT, replace=torch.zeros_like)
        losses, n_tokens = losses + float(found.double().sum()), n_tokens + ordinary.n_tokens
    fidelity = _quality(world.run("mask"))["fidelity"]
    assert (fidelity["n_tokens"], fidelity["zero"]) == (n_tokens, pytest.approx(losses / n_tokens))
    assert _quality(world.run("keep", sinks="keep"))["fidelity"]["zero"] != pytest.approx(fidelity["zero"])


def test_evidence_holds_no_sink(world: World) -> None:
    bench = world.bench()
    sinks: set[tuple[str, int]] = set()
    n_tokens = 0
    for role in ("explain", "score"):
        for batch in bench.evidence_batches(role):
            n_tokens += batch.n_tokens
            first = zip(batch.document[:, 0].tolist(), batch.offset[:, 0].tolist(), strict=True)
            sinks |= {(batch.documents[document], offset) for document, offset in first}
    masked, kept = (
        {(e.dictionary, e.feature): e for name in ("basis", "sae") for e in read_evidence(layout.evidence_file(name))}
        for layout in (world.run("mask"), world.run("keep", sinks="keep"))
    )
    assert masked["basis", SUNK].max_activation < 6 < 25 < kept["basis", SUNK].max_activation
    for evidence in masked.values():
        assert evidence.n_tokens == n_tokens - len(sinks)
        assert evidence.windows
        for window in evidence.windows:
            shown = {(window.document, window.offset + i) for i in range(len(window.activations))}
            assert not shown & sinks
    touched = {
        place
        for evidence in kept.values()
        for window in evidence.windows
        for place in [(window.document, window.offset + i) for i in range(len(window.activations))]
    }
    assert touched & sinks


def test_the_first_tokens_of_contexts_can_be_left_out_by_hand(world: World) -> None:
    skipped, masked = world.run("skip", skip_first=1), world.run("mask")
    assert not _lines(skipped) and "sinks" not in _quality(skipped)
    entries = json.loads(skipped.summary.read_text())["entries"]
    assert all("sinks" not in entry and entry["protocol"]["evidence"]["skip_first"] == 1 for entry in entries)
    assert _quality(skipped)["fidelity"]["n_tokens"] == _quality(masked)["fidelity"]["n_tokens"]
    counts = [{e.n_tokens for e in read_evidence(layout.evidence_file("sae"))} for layout in (skipped, masked)]
    assert counts[0] == counts[1]


def test_a_context_must_keep_some_text(world: World) -> None:
    with pytest.raises(ConfigError, match=r"skip_first = 31 leaves no text.*set it to 30 or less"):
        world.config(skip_first=31)
