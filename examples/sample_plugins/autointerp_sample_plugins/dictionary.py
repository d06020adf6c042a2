"""Dictionary `halves`: every coordinate is two features, what it is above 0 and what it is below; its neurons by sign.

The least a dictionary can be: `encode` and `W_dec`. Codes are not 0 nearly everywhere, so it says `is_dense`, and the
run fits when a feature fires to the `density` or `match_density` of its entry.
"""

from __future__ import annotations

import torch
from torch import Tensor

from autointerp.config.dictionary_entry import DictionaryEntry
from autointerp.errors import ConfigError


class Halves:
    is_dense = True

    def __init__(self, width: int, *, scale: float) -> None:
        self.W_dec = torch.cat([torch.eye(width), -torch.eye(width)]) / scale
        self._scale = scale

    def encode(self, x: Tensor) -> Tensor:
        return torch.cat([x, -x], dim=1).relu() * self._scale


def open_dictionary(entry: DictionaryEntry, width: int) -> Halves:
    """The factory: `entry` is the dictionary's table in the config, `width` that of the activations it will read."""
    unknown = sorted(entry.options.keys() - {"scale"})
    if unknown:
        raise ConfigError(f"dictionaries.{entry.name}.options.{unknown[0]}: 'halves' has one option, scale; remove it")
    return Halves(width, scale=float(entry.options.get("scale", 1.0)))
