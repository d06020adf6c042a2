"""A dictionary over activations that are normalised one by one: layer norm, or a constant norm."""

from __future__ import annotations

import math
from typing import Any, Literal, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor

from sae_core.dictionary import Dictionary, SparseCode

__all__ = ["Normalisation", "NormalisedDictionary"]

Normalisation = Literal["layer_norm", "constant_norm_rescale"]
"""layer_norm: (x - mean) / (standard deviation + 1e-5), no gain or bias (Gao et al. 2024, arXiv 2406.04093, appendix
A); constant_norm_rescale: scaled to norm sqrt(d_in)."""

LAYER_NORM_EPSILON = 1e-5


class NormalisedDictionary(Dictionary):
    """`inner` over normalised activations.

    Codes, `offset` and `decode` are in normalised units; `reconstruct` and `forward` undo the normalisation, except for
    transcoders.
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
        self.is_dense, self.is_signed = inner.is_dense, inner.is_signed
        self.is_transcoder, self.is_cross_layer = inner.is_transcoder, inner.is_cross_layer

    @property
    def options(self) -> dict[str, Any]:
        return {"method": self.method}

    @property
    def is_featurewise(self) -> bool:
        return self.inner.is_featurewise

    @property
    def directions(self) -> Float[Tensor, "n_features d_out"]:
        return self.inner.directions

    @property
    def offset(self) -> Float[Tensor, " d_out"]:
        return self.inner.offset

    def normalise(
        self, x: Float[Tensor, "batch d_in"]
    ) -> tuple[Float[Tensor, "batch d_in"], Float[Tensor, "batch 1"], Float[Tensor, "batch 1"]]:
        """(z, shift, scale) with x = z * scale + shift, up to the epsilon."""
        self.check_width(x)
        if self.method == "layer_norm":
            shift = x.mean(dim=1, keepdim=True)
            scale = (x - shift).std(dim=1, keepdim=True)
            return (x - shift) / (scale + LAYER_NORM_EPSILON), shift, scale
        scale = x.norm(dim=1, keepdim=True) / math.sqrt(self.d_in)
        return x / scale.clamp_min(torch.finfo(x.dtype).tiny), torch.zeros_like(scale), scale

    def encode(self, x: Float[Tensor, "batch d_in"]) -> SparseCode:
        return self.inner.encode(self.normalise(x)[0])

    def encode_dense(self, x: Float[Tensor, "batch d_in"]) -> Float[Tensor, "batch n_features"]:
        return self.inner.encode_dense(self.normalise(x)[0])

    def encode_features(
        self, x: Float[Tensor, "batch d_in"], features: Int[Tensor, " chosen"]
    ) -> Float[Tensor, "batch chosen"]:
        return self.inner.encode_features(self.normalise(x)[0], features)

    def reconstruct(
        self, x: Float[Tensor, "batch d_in"], code: Float[Tensor, "batch n_features"]
    ) -> Float[Tensor, "batch d_out"]:
        if self.is_transcoder:
            return self.inner.reconstruct(x, code)
        z, shift, scale = self.normalise(x)
        return self.inner.reconstruct(z, code) * scale + shift

    def difference(
        self, x: Float[Tensor, "batch d_in"], features: Int[Tensor, " chosen"], change: Float[Tensor, "batch chosen"]
    ) -> Float[Tensor, "batch d_out"]:
        z, _, scale = self.normalise(x)
        inner = self.inner.difference(z, features, change)
        return inner if self.is_transcoder else inner * scale

    def forward(self, x: Float[Tensor, "batch d_in"]) -> Float[Tensor, "batch d_out"]:
        return self.reconstruct(x, self.encode_dense(x))
