"""Transcoders: dictionaries that read activations at one place and write those of another."""

from __future__ import annotations

from typing import Any

from jaxtyping import Float
from torch import Tensor

from sae_core.architectures.ruled import Rule, RuledDictionary
from sae_core.config import DictionaryConfig

__all__ = ["TranscoderDictionary"]


class TranscoderDictionary(RuledDictionary):
    """f = code_scale * rule(W_enc x + b_enc), y_hat = f W_dec + b_dec (+ W_skip x), shapes as in RuledDictionary.

    Dunefsky et al. 2024 (arXiv 2406.11944), section 3; with a skip Paulo et al. 2025 (arXiv 2501.18823). One layer of a
    cross-layer transcoder (Ameisen et al. 2025, "Circuit Tracing") has as directions the sums of its decoders, which
    write to this and all later layers: what a feature adds to the residual stream in all.
    """

    family = "transcoder"
    is_transcoder = True

    def __init__(
        self,
        config: DictionaryConfig,
        *,
        d_in: int,
        rule: Rule,
        d_out: int | None = None,
        has_skip: bool = False,
        is_cross_layer: bool = False,
    ) -> None:
        super().__init__(config, d_in=d_in, rule=rule, d_out=d_out, has_skip=has_skip)
        self.is_cross_layer = is_cross_layer

    @property
    def options(self) -> dict[str, Any]:
        return {**super().options, "is_cross_layer": self.is_cross_layer}

    def hidden(self, x: Float[Tensor, "batch d_in"]) -> Float[Tensor, "batch d_in"]:
        return x  # b_dec belongs to the place written
