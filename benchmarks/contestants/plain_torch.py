"""Plain PyTorch: the same dictionaries and the same Adam written in thirty lines of dense autograd."""

from __future__ import annotations

import torch
from torch import Tensor

from benchmarks.contestants.contestant import Contestant
from benchmarks.workload import Job, initial_weights

DISTRIBUTION = None


def build(job: Job) -> Contestant:
    """Dense codes, dense gradients."""
    weights = {name: torch.nn.Parameter(value) for name, value in initial_weights(job).items()}
    optimiser = torch.optim.Adam(weights.values(), lr=job.learning_rate)

    def encode(x: Tensor) -> Tensor:
        pre = torch.relu((x - weights["b_dec"]) @ weights["W_enc"].T + weights["b_enc"])
        if job.kind == "relu":
            return pre
        kept = pre.topk(job.k, dim=1, sorted=False)
        return torch.zeros_like(pre).scatter(1, kept.indices, kept.values)

    def step(x: Tensor) -> None:
        optimiser.zero_grad()
        code = encode(x)
        error = code @ weights["W_dec"] + weights["b_dec"] - x
        loss = error.square().mean()
        if job.kind == "relu":
            loss = loss + job.l1 / job.d_in * code.sum(dim=1).mean()
        loss.backward()
        with torch.no_grad():
            decoder, gradient = weights["W_dec"], weights["W_dec"].grad
            assert gradient is not None
            gradient -= (gradient * decoder).sum(dim=1, keepdim=True) * decoder
        torch.nn.utils.clip_grad_norm_(weights.values(), 1.0)
        optimiser.step()
        with torch.no_grad():
            decoder /= decoder.norm(dim=1, keepdim=True)

    return Contestant(step, lambda x: encode(x) @ weights["W_dec"] + weights["b_dec"])
