"""A dictionary over activations that are normalised one by one first: layer norm, or a constant norm.

The normalisation depends on the activation, so it cannot be folded into weights. Codes and directions are those of the
dictionary inside, in normalised units; the reconstruction is brought back. Knows nothing of how the inside works.
"""

from __future__ import annotations

import math
from typing import Any, Literal, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor

from sae_core.dictionary import Dictionary, SparseCode

__all__ = ["Normalisation", "NormalisedDictionary"]

Normalisation = Literal["layer_norm", "constant_norm_rescale"]
"""layer_norm: less the mean, over (standard deviation + 1e-5), no gain or bias (Gao et al. 2024, arXiv 2406.04093,
appendix A); constant_norm_rescale: scaled to norm sqrt(d_in)."""

LAYER_NORM_EPSILON = 1e-5


class NormalisedDictionary(Dictionary):
    """`inner` over normalised activations; `forward` undoes the normalisation (not for transcoders, whose output is
    another place's).

    `offset`, `decode` and `decode_dense` are in normalised units, because a code alone does not know its activation's
    mean and norm; `reconstruct` and `forward` are in the activations' own.
    """

    family = "normalised"

    def __init__(self, inner: Dictionary, *, method: Normalisation) -> None:
        super().__init__()
        if method not in get_args(Normalisation):
            raise ValueError(f"method = {method!r}: must be one of {get_args(Normalisation)}")
        self.inner = inner
        self.method = method
        self.config = inner.config
        self.d_in, self.n_features = inner.d_in, inner.n_features
        self.is_dense, self.is_signed, self.is_transcoder = inner.is_dense, inner.is_signed, inner.is_transcoder

    @property
    def options(self) -> dict[str, Any]:
        """What is needed, beside the dictionary inside, to build an empty one."""
        return {"method": self.method}

    @property
    def is_featurewise(self) -> bool:
        """As the dictionary inside."""
        return self.inner.is_featurewise

    @property
    def directions(self) -> Float[Tensor, "n_features d_out"]:
        """The directions of the dictionary inside."""
        return self.inner.directions

    @property
    def offset(self) -> Float[Tensor, " d_out"]:
        """What a code of zeros decodes to, in normalised units."""
        return self.inner.offset

    def normalise(
        self, x: Float[Tensor, "batch d_in"]
    ) -> tuple[Float[Tensor, "batch d_in"], Float[Tensor, "batch 1"], Float[Tensor, "batch 1"]]:
        """(z, shift, scale): the normalised activations, and x = z * scale + shift (up to the epsilon)."""
        self.check_width(x)
        if self.method == "layer_norm":
            shift = x.mean(dim=1, keepdim=True)
            scale = (x - shift).std(dim=1, keepdim=True)
            return (x - shift) / (scale + LAYER_NORM_EPSILON), shift, scale
        scale = x.norm(dim=1, keepdim=True) / math.sqrt(self.d_in)
        return x / scale.clamp_min(torch.finfo(x.dtype).tiny), torch.zeros_like(scale), scale

    def encode(self, x: Float[Tensor, "batch d_in"]) -> SparseCode:
        """Codes of the normalised activations."""
        return self.inner.encode(self.normalise(x)[0])

    def encode_dense(self, x: Float[Tensor, "batch d_in"]) -> Float[Tensor, "batch n_features"]:
        """Codes of the normalised activations as a dense matrix."""
        return self.inner.encode_dense(self.normalise(x)[0])

    def encode_features(
        self, x: Float[Tensor, "batch d_in"], features: Int[Tensor, " chosen"]
    ) -> Float[Tensor, "batch chosen"]:
        """Dense codes of some features only."""
        return self.inner.encode_features(self.normalise(x)[0], features)

    def reconstruct(
        self, x: Float[Tensor, "batch d_in"], code: Float[Tensor, "batch n_features"]
    ) -> Float[Tensor, "batch d_out"]:
        """The output, in the activations' own units, for activations `x` whose dense code is `code`."""
        if self.is_transcoder:
            return self.inner.reconstruct(x, code)
        z, shift, scale = self.normalise(x)
        return self.inner.reconstruct(z, code) * scale + shift

    def forward(self, x: Float[Tensor, "batch d_in"]) -> Float[Tensor, "batch d_out"]:
        """Reconstruction of the activations, in their own units."""
        return self.reconstruct(x, self.encode_dense(x))
