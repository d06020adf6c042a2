"""The float32 matrix products of a training step, and nothing else: what a step is measured against.

ReLU while a large share of the codes is active: encoder, decoder, and the three of the backward pass (codes, both
weights); no exact step can do without them. TopK: the encoder's, which says which features are active; a step of ours
can still take less, because it screens in bfloat16 and takes again in float32 what may be among the k largest. With the
float32 kernel that sae_core switches on.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import torch
from torch import Tensor

from benchmarks.contestants.contestant import Contestant
from benchmarks.workload import Job, initial_weights
from sae_core.device import fast_matmul

DISTRIBUTION = None
ROWS_PER_BLOCK = 512


def build(job: Job) -> Contestant:
    """Products by the kernel that sae_core uses."""
    return products_under(job, fast_matmul)


def products_under(job: Job, kernel: Callable[[torch.device], AbstractContextManager[None]]) -> Contestant:
    """Products within the block that `kernel` opens for a device."""
    weights = initial_weights(job)

    def step(x: Tensor) -> None:
        with torch.no_grad(), kernel(x.device):
            _multiply(job, x, weights)

    return Contestant(step)


def _multiply(job: Job, x: Tensor, weights: dict[str, Tensor]) -> None:
    """The step's products on the batch `x` [batch, d_in], in blocks of rows that stay in the cache."""
    encoder, decoder = weights["W_enc"], weights["W_dec"]
    for rows in x.split(ROWS_PER_BLOCK):
        codes = rows @ encoder.T
        if job.kind == "relu":
            reconstruction = codes @ decoder
            gradient = reconstruction @ decoder.T
            codes.T @ reconstruction
            gradient.T @ rows
