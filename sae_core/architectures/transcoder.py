"""Transcoders: dictionaries that read activations at one place and write those of another."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from sae_core.architectures.ruled import RuledDictionary

__all__ = ["TranscoderDictionary"]


class TranscoderDictionary(RuledDictionary):
    """f = code_scale * rule(W_enc x + b_enc), y_hat = f W_dec + b_dec (+ W_skip x), shapes as in RuledDictionary.

    Dunefsky et al. 2024 (arXiv 2406.11944), section 3; with a skip Paulo et al. 2025 (arXiv 2501.18823).
    """

    family = "transcoder"
    is_transcoder = True

    def hidden(self, x: Float[Tensor, "batch d_in"]) -> Float[Tensor, "batch d_in"]:
        return x  # b_dec belongs to the place written
