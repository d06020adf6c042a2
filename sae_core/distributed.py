"""Several processes that train one set of dictionaries, each on its share of every batch.

Results equal one process on the whole batch, up to rounding and to BatchTopK, which chooses within a rank's share.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from jaxtyping import Bool, Float, Shaped
from torch import Tensor, nn

__all__ = ["ALONE", "Ranks", "open_ranks"]


@dataclass(frozen=True)
class Ranks:
    """This process (`index`) among the `n` that train together. Every method must be called by all of them."""

    index: int = 0
    n: int = 1

    @property
    def is_first(self) -> bool:
        return self.index == 0

    def mean(self, tensor: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """The mean over ranks of a tensor of equal shape; without gradient if there are several."""
        if self.n == 1:
            return tensor
        total = tensor.detach().clone()
        dist.all_reduce(total)
        return total / self.n

    def total_variation(self, x: Float[Tensor, "batch width"]) -> Float[Tensor, ""]:
        """Summed squared distance of all ranks' rows from their common mean, divided by `n`."""
        mean = self.mean(x.mean(dim=0))
        return self.mean((x - mean).square().sum())

    def rows(self, x: Shaped[Tensor, "batch *rest"]) -> Shaped[Tensor, "all_rows *rest"]:
        """The rows of all ranks in rank order; every rank must hold equally many."""
        if self.n == 1:
            return x
        parts = [torch.empty_like(x) for _ in range(self.n)]
        dist.all_gather(parts, x.detach().contiguous())
        return torch.cat(parts)

    def reduce_step(
        self,
        parameters: Iterable[nn.Parameter],
        *,
        fired: Bool[Tensor, " n_features"],
        numbers: Float[Tensor, " n_numbers"],
    ) -> tuple[Bool[Tensor, " n_features"], Float[Tensor, " n_numbers"]]:
        """Average the gradients in place, in one message; return the features that fired on any rank and the means of
        `numbers`."""
        if self.n == 1:
            return fired, numbers
        # Not DistributedDataParallel: a few large gradients appear at once, at the end of a short backward pass.
        trained = [parameter for parameter in parameters if parameter.requires_grad]
        parts = [torch.zeros_like(p) if p.grad is None else p.grad for p in trained]
        flat = torch.cat([part.reshape(-1) for part in (*parts, fired.to(parts[0].dtype), numbers)])
        dist.all_reduce(flat)
        flat /= self.n
        start = 0
        for parameter in trained:
            parameter.grad = flat[start : start + parameter.numel()].view_as(parameter)
            start += parameter.numel()
        return flat[start : start + fired.numel()] > 0, flat[start + fired.numel() :]

    def share(self, tensors: Iterable[Tensor]) -> None:
        if self.n > 1:
            for tensor in tensors:
                dist.broadcast(tensor.detach(), src=0)

    def least(self, *numbers: int) -> tuple[int, ...]:
        """The smallest value of each number over all ranks."""
        if self.n == 1:
            return numbers
        smallest = torch.tensor(numbers, dtype=torch.int64)  # over the CPU, so no rank's GPU is waited for
        dist.all_reduce(smallest, op=dist.ReduceOp.MIN)
        return tuple(smallest.tolist())

    def wait(self) -> None:
        self.least(0)


ALONE = Ranks()


@contextmanager
def open_ranks(*, timeout_s: float = 1800.0) -> Iterator[Ranks]:
    """The ranks `torchrun` started, or ALONE; with CUDA on the device of their local number.

    A rank that waits longer than `timeout_s` raises.
    """
    n_ranks = int(os.environ.get("WORLD_SIZE", "1"))
    if n_ranks == 1:
        yield ALONE
        return
    backend = "gloo"
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        backend = "cpu:gloo,cuda:nccl"
    dist.init_process_group(backend, timeout=timedelta(seconds=timeout_s))
    try:
        yield Ranks(dist.get_rank(), dist.get_world_size())
    finally:
        dist.destroy_process_group()
