"""Activations with known features: sparse codes over a known dictionary.

Takes sizes and a seed, gives a ground truth and batches drawn from it, so that what training finds can be compared
with what is there. Knows nothing of training.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from jaxtyping import Float
from torch import Tensor

from sae_core.randomness import generator

__all__ = ["PlantedDictionary", "mean_max_cosine"]


@dataclass(frozen=True)
class PlantedDictionary:
    """x = offset + scale * codes @ directions: exactly k of n_features active per row, with |normal| codes.

    The setting of O'Neill et al. (arXiv 2411.13117, section 4), here with an offset and a scale.
    """

    directions: Float[Tensor, "n_features d_in"]
    offset: Float[Tensor, " d_in"]
    k: int
    scale: float = 1.0

    @classmethod
    def draw(
        cls, *, n_features: int, d_in: int, k: int, seed: int, scale: float = 1.0, offset_norm: float = 0.0
    ) -> PlantedDictionary:
        """Random unit directions and a random offset of the given norm."""
        draw = generator(seed, "planted")
        directions = functional.normalize(torch.randn(n_features, d_in, generator=draw), dim=1)
        offset = functional.normalize(torch.randn(d_in, generator=draw), dim=0) * offset_norm
        return cls(directions, offset, k, scale)

    def codes(self, n_rows: int, *, seed: int) -> Float[Tensor, "n_rows n_features"]:
        """Codes of `n_rows` samples."""
        draw = generator(seed, "codes")
        n_features = self.directions.shape[0]
        active = torch.rand(n_rows, n_features, generator=draw).topk(self.k, dim=1).indices
        values = torch.randn(n_rows, self.k, generator=draw).abs()
        return torch.zeros(n_rows, n_features).scatter(1, active, values)

    def activations(self, codes: Float[Tensor, "n_rows n_features"]) -> Float[Tensor, "n_rows d_in"]:
        """The activations that the codes stand for."""
        return self.offset + self.scale * codes @ self.directions

    def iter_batches(self, n_batches: int, *, batch_tokens: int, seed: int) -> Iterator[Float[Tensor, "batch d_in"]]:
        """Fresh samples, batch by batch."""
        for i in range(n_batches):
            yield self.activations(self.codes(batch_tokens, seed=seed * 1_000_003 + i))


def mean_max_cosine(found: Float[Tensor, "n_found d_in"], planted: Float[Tensor, "n_planted d_in"]) -> float:
    """Mean over planted directions of the largest cosine with any found one (MMCS of Sharkey et al. 2022)."""
    cosines = functional.normalize(planted, dim=1) @ functional.normalize(found, dim=1).T
    return float(cosines.max(dim=1).values.mean())
