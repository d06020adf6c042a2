"""The benchmark's own code is fair: equal steps from equal weights give equal dictionaries."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from benchmarks.contestants import ours, plain_torch, pursuit_ours
from benchmarks.contestants.contestant import Contestant
from benchmarks.tables import machine_line, markdown_table
from benchmarks.workload import HELD_OUT_BATCH, Job, activations, initial_weights

TOPK = Job("topk", 96, d_in=16, batch=128, k=4, learning_rate=3e-3)


def _fvu_after(contestant: Contestant, job: Job, *, n_steps: int) -> float:
    for number in range(n_steps):
        contestant.step(activations(job, number))
    x = activations(job, HELD_OUT_BATCH)
    with torch.no_grad():
        return float((x - contestant.reconstruct(x)).square().sum() / (x - x.mean(dim=0)).square().sum())


@pytest.mark.parametrize("job", [TOPK, replace(TOPK, kind="relu"), replace(TOPK, kind="relu", start_l0=4, l1=2.0)])
def test_ours_and_plain_torch_learn_the_same(job: Job) -> None:
    start = _fvu_after(ours.build(job), job, n_steps=0)
    assert start == pytest.approx(_fvu_after(plain_torch.build(job), job, n_steps=0), rel=1e-4)
    found, wanted = (_fvu_after(each.build(job), job, n_steps=40) for each in (ours, plain_torch))
    assert abs(found - start) > 0.05
    assert found == pytest.approx(wanted, rel=0.02)


def test_the_stream_is_the_same_every_time_and_has_the_stated_norm() -> None:
    assert torch.equal(activations(TOPK, 3), activations(TOPK, 3))
    assert not torch.equal(activations(TOPK, 3), activations(TOPK, 4))
    assert float(activations(replace(TOPK, d_in=64), 0).norm(dim=1).mean()) == pytest.approx(8, rel=0.1)


def test_the_start_has_the_stated_number_of_active_features() -> None:
    job = replace(TOPK, kind="relu", start_l0=5)
    weights = initial_weights(job)
    pre = (activations(job, 0) - weights["b_dec"]) @ weights["W_enc"].T + weights["b_enc"]
    assert float((pre > 0).sum(dim=1).float().mean()) == pytest.approx(5, rel=0.3)


def test_pursuit_gives_codes() -> None:
    contestant, x = pursuit_ours.build(TOPK), activations(TOPK, 0)
    assert contestant.codes is not None
    assert contestant.codes(x).shape == (128, 96)
    assert float((x - contestant.reconstruct(x)).square().sum()) < float((x - x.mean(dim=0)).square().sum())


def test_tables_line_up() -> None:
    assert markdown_table(["a", "b"], [["long", "1"]]) == "| a    | b |\n| ---- | - |\n| long | 1 |"
    assert "torch" in machine_line() and "/" not in machine_line().replace("GiB/s", "")
