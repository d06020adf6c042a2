"""ReLU codes of a whole batch and their reconstruction, in blocks of rows: only the codes are held for the batch."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from sae_core.device import is_on_host

__all__ = ["Rectified", "rectify_and_decode"]

ROWS_PER_BLOCK = 512
"""Rows per block on a CPU, so that its codes stay in the cache."""


class Rectified(NamedTuple):
    reconstruction: Float[Tensor, "batch d_in"]
    code_sums: Float[Tensor, " n_features"]  # over the batch
    n_active: Float[Tensor, ""]  # number of positive codes; not differentiable


def rectify_and_decode(
    hidden: Float[Tensor, "batch width"],
    weight: Float[Tensor, "n_features width"],
    bias: Float[Tensor, " n_features"],
    *,
    decoder: Float[Tensor, "n_features d_in"],
) -> Rectified:
    """The codes `relu(hidden @ weight.T + bias)`, decoded; differentiable in all four tensors."""
    return Rectified(*_RectifyAndDecode.apply(hidden, weight, bias, decoder))  # pyright: ignore[reportGeneralTypeIssues]


class _RectifyAndDecode(torch.autograd.Function):
    @staticmethod
    def forward(ctx, hidden, weight, bias, decoder):
        n_rows, n_features = hidden.shape[0], weight.shape[0]
        codes = hidden.new_empty(n_rows, n_features)
        reconstruction = hidden.new_empty(n_rows, decoder.shape[1])
        code_sums, n_active = hidden.new_zeros(n_features), hidden.new_zeros(())
        for start, stop in _blocks(hidden):
            block = codes[start:stop]
            torch.mm(hidden[start:stop], weight.T, out=block)
            block.add_(bias).relu_()
            torch.mm(block, decoder, out=reconstruction[start:stop])
            code_sums += block.sum(dim=0)
            n_active += block.count_nonzero()  # none is negative
        ctx.save_for_backward(hidden, weight, decoder, codes)
        ctx.mark_non_differentiable(n_active)
        return reconstruction, code_sums, n_active

    @staticmethod
    def backward(ctx, *gradients):
        hidden, weight, decoder, codes = ctx.saved_tensors
        outer, to_sums = gradients[0].contiguous(), gradients[1]
        to_hidden = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
        to_weight, to_decoder = torch.zeros_like(weight), torch.zeros_like(decoder)
        to_bias = weight.new_zeros(weight.shape[0])
        blocks = _blocks(hidden)
        size = max((stop - start for start, stop in blocks), default=0)
        to_pre, is_active = (codes.new_empty(size, codes.shape[1]) for _ in range(2))
        for start, stop in blocks:
            block, mask, per_code = codes[start:stop], is_active[: stop - start], to_pre[: stop - start]
            torch.mm(outer[start:stop], decoder.T, out=per_code)
            if to_sums is not None:
                per_code += to_sums
            # Codes are never negative, so their signs are the ReLU's derivative.
            per_code *= torch.sign(block, out=mask)
            torch.addmm(to_decoder, block.T, outer[start:stop], out=to_decoder)
            torch.addmm(to_weight, per_code.T, hidden[start:stop], out=to_weight)
            to_bias += per_code.sum(dim=0)
            if to_hidden is not None:
                torch.mm(per_code, weight, out=to_hidden[start:stop])
        return to_hidden, to_weight, to_bias, to_decoder


def _blocks(rows: Tensor) -> list[tuple[int, int]]:
    n_rows = rows.shape[0]
    size = ROWS_PER_BLOCK if is_on_host(rows) else max(1, n_rows)
    return [(start, min(start + size, n_rows)) for start in range(0, n_rows, size)]
