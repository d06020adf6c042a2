"""sae_core's gradient pursuit over a given dictionary."""

from __future__ import annotations

from torch import Tensor

from benchmarks.contestants.contestant import Contestant
from benchmarks.workload import Job, initial_weights
from sae_core.dictionary import SparseCode
from sae_core.inference.gradient_pursuit import gradient_pursuit

DISTRIBUTION = None


def build(job: Job) -> Contestant:
    """k steps of pursuit."""
    weights = initial_weights(job)
    directions, centre = weights["W_dec"], weights["b_dec"]

    def infer(x: Tensor) -> SparseCode:
        return gradient_pursuit(x - centre, directions, n_active=job.k)

    def codes(x: Tensor) -> Tensor:
        return infer(x).to_dense(job.n_features)

    def step(x: Tensor) -> None:
        infer(x)

    return Contestant(step, lambda x: codes(x) @ directions + centre, codes)
