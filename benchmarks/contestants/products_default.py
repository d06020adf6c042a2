"""The same products as `products`, by the float32 kernel that torch takes unless told otherwise."""

from __future__ import annotations

from contextlib import nullcontext

from benchmarks.contestants.contestant import Contestant
from benchmarks.contestants.products import products_under
from benchmarks.workload import Job

DISTRIBUTION = None


def build(job: Job) -> Contestant:
    """Products by torch's default kernel."""
    return products_under(job, lambda _: nullcontext())
