"""What every contestant is given: the same activations, the same initial weights, the same learning rate.

Plain torch and the standard library only, since it runs inside every peer's environment. Activations are sparse sums of
planted directions plus noise, scaled to mean norm sqrt(d_in), so that a dictionary has something to find and every
contestant works in the same units. All of it is drawn from seeds: the same torch version gives the same numbers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from torch import Tensor

__all__ = ["HELD_OUT_BATCH", "Job", "activations", "initial_weights"]

HELD_OUT_BATCH = 1_000_000
"""The number of the batch on which quality is measured; no contestant trains on it."""

N_PLANTED_PER_COORDINATE = 4
N_PLANTED_ACTIVE = 24


@dataclass(frozen=True)
class Job:
    """One thing to train. kind: `topk`, or `relu` under an L1 penalty; start_l0: relu: how many features are active
    at the start (None: about half of them, the dense phase with which every such training begins)."""

    kind: str
    n_features: int
    d_in: int = 512
    batch: int = 4096
    k: int = 32
    start_l0: int | None = None
    l1: float = 1.0
    """Weight of the codes' sum beside the squared error summed over coordinates (both means over the batch)."""
    learning_rate: float = 3e-4
    encoder_norm: float = 0.3
    device: str = "cpu"


def activations(job: Job, number: int) -> Tensor:
    """Batch `number` of the job's stream, [batch, d_in]."""
    n_planted = N_PLANTED_PER_COORDINATE * job.d_in
    planted = torch.randn(n_planted, job.d_in, generator=torch.Generator().manual_seed(7))
    planted = functional.normalize(planted, dim=1)
    draw = torch.Generator().manual_seed(1000 + number)
    # Squaring makes some planted features common and some rare, as in language models.
    chosen = (torch.rand(job.batch, N_PLANTED_ACTIVE, generator=draw).square() * n_planted).long()
    sizes = torch.rand(job.batch, N_PLANTED_ACTIVE, generator=draw) + 0.2
    signal = functional.embedding_bag(chosen, planted, per_sample_weights=sizes, mode="sum")
    noisy = signal + 0.02 * torch.randn(job.batch, job.d_in, generator=draw)
    mean_square_norm = N_PLANTED_ACTIVE * (1 / 12 + 0.7**2) + 0.02**2 * job.d_in
    return (noisy * math.sqrt(job.d_in / mean_square_norm)).to(job.device)


def initial_weights(job: Job) -> dict[str, Tensor]:
    """W_dec [n_features, d_in] with unit rows, W_enc alike but shorter, b_enc [n_features], b_dec [d_in]."""
    draw = torch.Generator().manual_seed(0)
    decoder = functional.normalize(torch.randn(job.n_features, job.d_in, generator=draw), dim=1)
    sample = activations(job, 0)[:1024].cpu()
    centre = sample.mean(dim=0)
    encoder = decoder * job.encoder_norm
    bias = torch.zeros(job.n_features)
    if job.start_l0 is not None:
        rank = max(1, round(sample.shape[0] * job.start_l0 / job.n_features))
        for features in torch.arange(job.n_features).split(1024):
            pre = (sample - centre) @ encoder[features].T
            bias[features] = -pre.topk(rank, dim=0).values[-1]
    weights = {"W_enc": encoder, "b_enc": bias, "W_dec": decoder, "b_dec": centre}
    return {name: value.to(job.device) for name, value in weights.items()}
