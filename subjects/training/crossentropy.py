"""Next-token cross-entropy over a large vocabulary, a few rows of logits at a time."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

__all__ = ["chunked_cross_entropy"]


class _ChunkedCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor, n_rows: int) -> Tensor:
        total = hidden.new_zeros((), dtype=torch.float32)
        grad_hidden, grad_weight = torch.empty_like(hidden), torch.zeros_like(weight)
        scale = 1.0 / targets.numel()
        # gradients in the forward pass, while the chunk's logits are in the cache
        for start in range(0, hidden.shape[0], n_rows):
            rows, wanted = hidden[start : start + n_rows], targets[start : start + n_rows]
            logits = rows @ weight.T
            log_normaliser = torch.logsumexp(logits, dim=1, keepdim=True)
            total += (log_normaliser - logits.gather(1, wanted[:, None])).sum()
            error = logits.sub_(log_normaliser).exp_()
            error.scatter_add_(1, wanted[:, None], error.new_full((wanted.numel(), 1), -1.0))
            error *= scale
            grad_hidden[start : start + n_rows] = error @ weight
            grad_weight.addmm_(error.T, rows)
        ctx.save_for_backward(grad_hidden, grad_weight)
        return total * scale

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, Tensor, None, None]:
        grad_hidden, grad_weight = ctx.saved_tensors
        return grad_hidden * grad_outputs[0], grad_weight * grad_outputs[0], None, None


def chunked_cross_entropy(
    hidden: Float[Tensor, "rows d_model"],
    weight: Float[Tensor, "vocab d_model"],
    targets: Int[Tensor, "rows"],
    *,
    n_rows: int = 512,
) -> Float[Tensor, ""]:
    """Mean cross-entropy in nats of `hidden @ weight.T` against `targets`; `n_rows` logits rows exist at a time.

    Differentiable once. Equal to `torch.nn.functional.cross_entropy` up to rounding.
    """
    return _ChunkedCrossEntropy.apply(hidden, weight, targets, n_rows)  # type: ignore[return-value]
