"""Dictionaries whose codes are dense, signed projections."""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as functional
from jaxtyping import Float, Int
from torch import Tensor

from sae_core.config import DictionaryConfig
from sae_core.dictionary import Dictionary

__all__ = ["ProjectionDictionary"]


class ProjectionDictionary(Dictionary):
    """Codes are projections of x - offset. Buffers, filled by subclasses: W_dec [n_features, d_in], b_dec [d_in]."""

    is_dense = True
    is_signed = True
    is_featurewise = True
    W_dec: Tensor
    b_dec: Tensor

    def __init__(self, config: DictionaryConfig, *, d_in: int, n_features: int) -> None:
        super().__init__()
        self.config = replace(config, n_features=n_features)
        self.d_in, self.n_features = d_in, n_features
        self.register_buffer("W_dec", torch.eye(n_features, d_in))
        self.register_buffer("b_dec", torch.zeros(d_in))

    @property
    def directions(self) -> Float[Tensor, "n_features d_in"]:
        return self.W_dec

    @property
    def offset(self) -> Float[Tensor, " d_in"]:
        return self.b_dec

    @property
    def projections(self) -> Float[Tensor, "n_features d_in"]:
        """The vectors whose products with x - offset are the codes."""
        return self.W_dec

    def encode_dense(self, x: Float[Tensor, "batch d_in"]) -> Float[Tensor, "batch n_features"]:
        self.check_width(x)
        return functional.linear(x - self.b_dec, self.projections)

    def encode_features(
        self, x: Float[Tensor, "batch d_in"], features: Int[Tensor, " chosen"]
    ) -> Float[Tensor, "batch chosen"]:
        self.check_width(x)
        return functional.linear(x - self.b_dec, self.projections[features])
