"""What a contestant's module gives: DISTRIBUTION (its name on the package index, None for code of this repository) and
`build(job) -> Contestant`."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

__all__ = ["Contestant"]


class Contestant(NamedTuple):
    """step: what is timed, on a batch [batch, d_in]: an optimiser step, or one inference; reconstruct: x ->
    reconstruction, without gradients (None: it trains nothing); codes: x -> dense codes, where contestants' codes are
    to be compared."""

    step: Callable[[Tensor], None]
    reconstruct: Callable[[Tensor], Tensor] | None = None
    codes: Callable[[Tensor], Tensor] | None = None
