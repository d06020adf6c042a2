"""overcomplete: its SAE classes in its own `train_sae`, one batch at a time.

It has no decoder bias, so it is given activations with the common bias already subtracted.
"""

from __future__ import annotations

import torch
from torch import Tensor

from benchmarks.contestants.contestant import Contestant
from benchmarks.contestants.torchvision_stub import make_torchvision_importable
from benchmarks.workload import Job, initial_weights

make_torchvision_importable()
from overcomplete.sae import SAE, TopKSAE, train_sae  # noqa: E402

DISTRIBUTION = "overcomplete"


def build(job: Job) -> Contestant:
    """The SAE with the given weights, trained by `train_sae` without monitoring."""
    sae = TopKSAE(job.d_in, job.n_features, top_k=job.k) if job.kind == "topk" else SAE(job.d_in, job.n_features)
    sae = sae.untied(bias=True)
    weights = initial_weights(job)
    with torch.no_grad():
        sae.encoder.weight.copy_(weights["W_enc"])
        sae.encoder.bias.copy_(weights["b_enc"])
        sae.dictionary._weights.copy_(weights["W_dec"])
    optimiser = torch.optim.Adam(sae.parameters(), lr=job.learning_rate)

    def loss(x: Tensor, x_hat: Tensor, pre_codes: Tensor, codes: Tensor, dictionary: Tensor) -> Tensor:
        squared = (x - x_hat).square().sum(dim=1).mean()
        return squared if job.kind == "topk" else squared + job.l1 * codes.sum(dim=1).mean()

    def step(x: Tensor) -> None:
        train_sae(sae, [x - weights["b_dec"]], loss, optimiser, nb_epochs=1, monitoring=0)

    return Contestant(step, lambda x: sae(x - weights["b_dec"])[2] + weights["b_dec"])
