"""A run of two seeds, killed while it trains and gone on with, scored in shards and merged: the run of one process."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import pytest

from autointerp import pipeline
from autointerp.runs.layout import RunLayout
from autointerp.runs.manifest import read_manifest
from autointerp.runs.shards import parse_shard
from autointerp.stages.merge import merge_runs
from tests.integration.commands import arguments, command, environment
from tests.integration.conftest import World

OVERRIDES = ("train.seeds=2", "corpus.evidence_tokens=4000", "harvest.min_firing=8", "train.checkpoint_every_s=0.0")


def killed(world: World, out: Path) -> RunLayout:
    """A run whose training was killed once its first state was there."""
    layout = RunLayout(out)
    words = command("train", world.few.config, "--seeds", "2", "--out", out, *arguments(*OVERRIDES[1:]))
    process = subprocess.Popen(words, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 120
    while not list(layout.training.glob("*/state-*")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    _, errors = process.communicate()
    assert list(layout.training.glob("*/state-*")), errors.decode()
    assert "train" not in read_manifest(layout)["stages"]
    return layout


@pytest.mark.full
def test_two_seeds_resume_after_a_kill_and_merge_their_shards(world: World, tmp_path: Path) -> None:
    from autointerp.config.loading import load_config

    config = load_config(world.few.config, OVERRIDES)
    whole = pipeline.run(config, out=tmp_path / "whole")
    layout = killed(world, tmp_path / "run")
    pipeline.run(config, out=layout.root, last="harvest")
    names = ["neurons", "sae", "sae.seed2"]
    assert sorted(path.stem for path in layout.evidence.iterdir()) == names
    for name in names:
        assert layout.evidence_file(name).read_bytes() == whole.evidence_file(name).read_bytes(), name
    first, second = (layout.dictionary(name) / "sae_weights.safetensors" for name in names[1:])
    assert first.read_bytes() != second.read_bytes()
    for last in ("explain", "score"):
        for shard in ("1/2", "2/2"):
            pipeline.run_shard(config, out=layout.root, shard=parse_shard(shard), last=last)
    assert not merge_runs(layout.root).missing
    pipeline.run(config, out=layout.root)
    assert layout.scores.read_bytes() == whole.scores.read_bytes()
    assert layout.summary.read_bytes() == whole.summary.read_bytes()
