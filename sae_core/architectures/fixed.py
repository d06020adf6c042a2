"""Untrained dictionaries with dense, signed codes: the coordinates themselves, and random unit directions."""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as functional
from jaxtyping import Float
from torch import Tensor

from sae_core.architectures.projection import ProjectionDictionary
from sae_core.config import DictionaryConfig
from sae_core.dictionary import Dictionary

__all__ = ["IdentityDictionary", "RandomDictionary"]


class IdentityDictionary(Dictionary):
    """Feature i is coordinate i: a neuron, or a basis vector of the residual stream."""

    is_dense = True
    is_signed = True
    unit: Tensor

    def __init__(self, config: DictionaryConfig, *, d_in: int) -> None:
        super().__init__()
        if config.n_features not in (None, d_in):
            raise ValueError(
                f"n_features = {config.n_features}: the identity over activations of width {d_in} has {d_in} "
                "features; leave n_features out"
            )
        self.config = replace(config, n_features=d_in)
        self.d_in = self.n_features = d_in
        self.register_buffer("unit", torch.ones(d_in))

    @property
    def directions(self) -> Float[Tensor, "n_features d_in"]:
        return torch.diag(self.unit)

    @property
    def offset(self) -> Float[Tensor, " d_in"]:
        return torch.zeros_like(self.unit)

    def encode_dense(self, x: Float[Tensor, "batch d_in"]) -> Float[Tensor, "batch n_features"]:
        self.check_width(x)
        return x

    def decode_dense(self, code: Float[Tensor, "batch n_features"]) -> Float[Tensor, "batch d_in"]:
        return code


class RandomDictionary(ProjectionDictionary):
    """Projections of x - offset on random unit directions; offset: the sample's mean, or zeros.

    A control: with more features than coordinates the reconstruction overshoots.
    """

    def __init__(
        self,
        config: DictionaryConfig,
        *,
        d_in: int,
        draw: torch.Generator,
        sample: Float[Tensor, "n_sample d_in"] | None = None,
    ) -> None:
        if config.n_features is None:
            raise ValueError("n_features must be given for kind 'random'")
        super().__init__(config, d_in=d_in, n_features=config.n_features)
        self.W_dec.copy_(functional.normalize(torch.randn(self.n_features, d_in, generator=draw), dim=1))
        if sample is not None:
            self.b_dec.copy_(sample.double().mean(dim=0))
