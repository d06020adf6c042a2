"""Another dictionary's directions with shuffled entries: a control that keeps their distribution and drops their
meaning."""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from jaxtyping import Float
from torch import Tensor

from sae_core.architectures.projection import ProjectionDictionary
from sae_core.config import DictionaryConfig
from sae_core.dictionary import Dictionary

__all__ = ["ShuffledDictionary"]


class ShuffledDictionary(ProjectionDictionary):
    """Dense, signed projections of x - offset on shuffled directions of `source`, or on random ones.

    Each coordinate's entries are permuted among the features, independently of other coordinates, and rows scaled to
    norm 1: outlier coordinates stay outliers.
    """

    def __init__(
        self, config: DictionaryConfig, *, d_in: int, draw: torch.Generator, source: Dictionary | None = None
    ) -> None:
        """Raises ValueError for directions of another width than `d_in`, or mostly zero."""
        if source is None:
            if config.n_features is None:
                raise ValueError("n_features must be given for kind 'shuffled' without a dictionary to shuffle")
            super().__init__(config, d_in=d_in, n_features=config.n_features)
            self.W_dec.copy_(functional.normalize(torch.randn(self.n_features, d_in, generator=draw), dim=1))
            return
        directions = source.directions.detach().cpu().float()
        if directions.shape[1] != d_in:
            raise ValueError(f"directions of width {directions.shape[1]} cannot be read at activations of width {d_in}")
        super().__init__(config, d_in=d_in, n_features=len(directions))
        rows = _shuffle_columns(directions, draw)
        if (rows.norm(dim=1) == 0).any():
            raise ValueError("directions that are mostly zeros leave rows without an entry; shuffle a dense dictionary")
        self.W_dec.copy_(functional.normalize(rows, dim=1))
        self.b_dec.copy_(source.offset.detach().cpu().float())

    @classmethod
    def over(cls, dictionary: Dictionary, *, draw: torch.Generator) -> ShuffledDictionary:
        config = DictionaryConfig(kind="shuffled", n_features=dictionary.n_features)
        return cls(config, d_in=dictionary.d_in, draw=draw, source=dictionary)


def _shuffle_columns(
    directions: Float[Tensor, "n_features d_in"], draw: torch.Generator
) -> Float[Tensor, "n_features d_in"]:
    order = torch.rand(directions.shape, generator=draw).argsort(dim=0)
    return directions.gather(0, order)
