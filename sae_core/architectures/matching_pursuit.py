"""Matching pursuit as an encoder tied to its decoder, with the stopping rules of SAELens (Costa et al. 2025, arXiv
2506.03093)."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from sae_core.config import DictionaryConfig
from sae_core.dictionary import Dictionary, SparseCode
from sae_core.inference.matching_pursuit import matching_pursuit

__all__ = ["MatchingPursuitDictionary"]


class MatchingPursuitDictionary(Dictionary):
    """Codes of x - offset by at most `n_steps` steps of matching pursuit (Mallat and Zhang 1993, section III).

    Buffers: W_dec [n_features, d_in] with unit rows, b_dec [d_in], atom_norm [n_features]; atom i is atom_norm_i *
    W_dec_i. Steps end at a residual norm below `residual_threshold` or, if `stops_on_repeat`, without a new feature.
    """

    family = "matching_pursuit"
    W_dec: Tensor
    b_dec: Tensor
    atom_norm: Tensor

    def __init__(
        self,
        config: DictionaryConfig,
        *,
        d_in: int,
        n_steps: int,
        residual_threshold: float,
        stops_on_repeat: bool = True,
    ) -> None:
        super().__init__()
        if config.n_features is None:
            raise ValueError("n_features must be given")
        if n_steps < 1:
            raise ValueError(f"n_steps = {n_steps}: must be at least 1")
        self.config = config
        self.d_in, self.n_features = d_in, config.n_features
        self.n_steps = n_steps
        self.residual_threshold = residual_threshold
        self.stops_on_repeat = stops_on_repeat
        self.register_buffer("W_dec", torch.zeros(self.n_features, d_in))
        self.register_buffer("b_dec", torch.zeros(d_in))
        self.register_buffer("atom_norm", torch.ones(self.n_features))

    @property
    def options(self) -> dict[str, Any]:
        return {
            "n_steps": self.n_steps,
            "residual_threshold": self.residual_threshold,
            "stops_on_repeat": self.stops_on_repeat,
        }

    @property
    def directions(self) -> Float[Tensor, "n_features d_in"]:
        return self.W_dec

    @property
    def offset(self) -> Float[Tensor, " d_in"]:
        return self.b_dec

    def encode(self, x: Float[Tensor, "batch d_in"]) -> SparseCode:
        self.check_width(x)
        code = matching_pursuit(
            x - self.b_dec,
            self.W_dec * self.atom_norm[:, None],
            n_steps=self.n_steps,
            residual_threshold=self.residual_threshold,
            is_stopped_by_repeat=self.stops_on_repeat,
        )
        return SparseCode(code.values * self.atom_norm[code.indices], code.indices)

    def encode_dense(self, x: Float[Tensor, "batch d_in"]) -> Float[Tensor, "batch n_features"]:
        return self.encode(x).to_dense(self.n_features)
