"""The same products as `products`, by the float32 kernel that torch takes unless told otherwise."""

from __future__ import annotations

import torch
from torch import Tensor

from benchmarks.contestants.contestant import Contestant
from benchmarks.contestants.products import products
from benchmarks.workload import Job, initial_weights

DISTRIBUTION = None


def build(job: Job) -> Contestant:
    """Products by torch's default kernel."""
    weights = initial_weights(job)

    def step(x: Tensor) -> None:
        with torch.no_grad():
            products(job, x, weights)

    return Contestant(step)
