"""sparsify: its sparse coder and, since its trainer only takes language models, the body of its training loop.

The order of calls is that of `Trainer.fit` with `loss_fn="fvu"` and `optimizer="adam"`. It has TopK only.
"""

from __future__ import annotations

import torch
from sparsify import SparseCoder, SparseCoderConfig
from torch import Tensor

from benchmarks.contestants.contestant import Contestant
from benchmarks.workload import Job, initial_weights

DISTRIBUTION = "eai-sparsify"


def build(job: Job) -> Contestant:
    """The sparse coder with the given weights and its optimiser."""
    torch.set_float32_matmul_precision("high")
    coder = SparseCoder(job.d_in, SparseCoderConfig(num_latents=job.n_features, k=job.k), device=job.device)
    weights = initial_weights(job)
    with torch.no_grad():
        coder.encoder.weight.copy_(weights["W_enc"])
        coder.encoder.bias.copy_(weights["b_enc"])
        coder.W_dec.copy_(weights["W_dec"])
        coder.b_dec.copy_(weights["b_dec"])
    optimiser = torch.optim.Adam(coder.parameters(), lr=job.learning_rate)
    n_since_fired = torch.zeros(job.n_features, dtype=torch.long, device=job.device)
    did_fire = torch.zeros(job.n_features, dtype=torch.bool, device=job.device)

    def step(x: Tensor) -> None:
        coder.set_decoder_norm_to_unit_norm()
        out = coder(x=x, y=x, dead_mask=None, total_variance=(x - x.mean(0)).pow(2).sum())
        did_fire[out.latent_indices.flatten()] = True
        float(out.fvu.detach())
        out.fvu.backward()
        coder.remove_gradient_parallel_to_decoder_directions()
        optimiser.step()
        optimiser.zero_grad()
        with torch.no_grad():
            n_since_fired.add_(x.shape[0])
            n_since_fired[did_fire] = 0
            did_fire.zero_()

    return Contestant(step, lambda x: coder(x).sae_out)
