"""Changes of features' values, as what they add to the activations: the difference of reconstructions.

x' = x + reconstruction(changed codes) - reconstruction(codes): the part of x outside the dictionary's span stays.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from autointerp.subject.hooks import Change
from sae_core.dictionary import Dictionary

__all__ = ["FeatureValues", "ablate", "add", "patch", "pin"]

Mask = Bool[Tensor, "batch pos"]


class FeatureValues:
    """The values of some features over activations `x`, and what is added to `x` when they become others."""

    def __init__(
        self, dictionary: Dictionary, x: Float[Tensor, "batch pos d_in"], features: Int[Tensor, " chosen"]
    ) -> None:
        self._dictionary, self._features = dictionary, features.to(dictionary.directions.device)
        self._x = x.to(dictionary.directions.device).flatten(0, 1)
        self._shape = x.shape
        with torch.no_grad():
            own = dictionary.encode_features(self._x, self._features).float()
        self.own: Float[Tensor, "batch pos chosen"] = own.unflatten(0, self._shape[:2])

    def together(self, values: Tensor) -> Float[Tensor, "batch pos d_in"]:
        """All features take `values` ([chosen], or broadcast to [batch pos chosen]) at once."""
        change = values.to(self.own) - self.own
        added = self._dictionary.difference(self._x, self._features, change.flatten(0, 1))
        return added.unflatten(0, self._shape[:2])

    def one_by_one(self, values: Tensor) -> Float[Tensor, "chosen batch pos d_in"]:
        """Each feature takes its value alone."""
        change = (values.to(self.own) - self.own).flatten(0, 1)
        pairs = zip(self._features.split(1), change.split(1, dim=1), strict=True)
        added = [self._dictionary.difference(self._x, feature, one) for feature, one in pairs]
        return torch.stack(added).unflatten(1, self._shape[:2])


def pin(
    dictionary: Dictionary, features: Int[Tensor, " chosen"], values: Float[Tensor, " chosen"], *, at: Mask
) -> Change:
    """Features hold `values`, in the codes' units, where `at` is on; its positions may reach beyond the text's."""
    return lambda x, rows: _within(at, FeatureValues(dictionary, x, features).together(values), rows)


def ablate(dictionary: Dictionary, features: Int[Tensor, " chosen"], *, at: Mask) -> Change:
    """Features hold 0, which for components and neurons is the value at the dictionary's offset."""
    return pin(dictionary, features, torch.zeros(len(features)), at=at)


def patch(
    dictionary: Dictionary, features: Int[Tensor, " chosen"], codes: Float[Tensor, "batch pos chosen"], *, at: Mask
) -> Change:
    """Features take the values they have in another batch of the same shape (activation patching)."""
    return lambda x, rows: _within(at, FeatureValues(dictionary, x, features).together(codes[rows]), rows)


def add(shift: Float[Tensor, "batch pos d_in"], *, at: Mask) -> Change:
    """A given vector is added."""
    return lambda x, rows: _within(at, shift[rows].to(x), rows)


def _within(at: Mask, added: Tensor, rows: slice) -> Tensor:
    inside = at[rows, : added.shape[1]].to(added.device)
    return torch.where(inside[..., None], added, 0.0)
