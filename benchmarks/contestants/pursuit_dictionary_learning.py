"""dictionary_learning's gradient pursuit, `grad_pursuit`, over a given dictionary."""

from __future__ import annotations

from torch import Tensor

from benchmarks.contestants.contestant import Contestant
from benchmarks.contestants.torchvision_stub import make_torchvision_importable
from benchmarks.workload import Job, initial_weights

make_torchvision_importable()
from dictionary_learning.grad_pursuit import grad_pursuit  # noqa: E402

DISTRIBUTION = "dictionary-learning"


def build(job: Job) -> Contestant:
    """k steps of pursuit."""
    weights = initial_weights(job)
    directions, centre = weights["W_dec"], weights["b_dec"]
    columns = directions.T.contiguous()

    def codes(x: Tensor) -> Tensor:
        return grad_pursuit(x - centre, columns, target_l0=job.k)

    def step(x: Tensor) -> None:
        codes(x)

    return Contestant(step, lambda x: codes(x) @ directions + centre, codes)
