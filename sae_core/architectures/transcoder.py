"""Transcoders: dictionaries that read activations at one place and write those of another, of its own width.

Directions and offset have the width of the place written. Takes tensors; nothing here is trained. A transcoder has
codes and directions like any dictionary, but it does not reconstruct what it reads, so it cannot be spliced in there.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from sae_core.architectures.ruled import RuledDictionary

__all__ = ["TranscoderDictionary"]


class TranscoderDictionary(RuledDictionary):
    """f = code_scale * rule(W_enc x + b_enc), y_hat = f W_dec + b_dec (+ W_skip x), after Dunefsky et al. 2024
    (arXiv 2406.11944), section 3; with a skip Paulo et al. 2025 (arXiv 2501.18823).

    Shapes as in RuledDictionary, with `d_out` in the place of `d_in` in W_dec, b_dec and the first axis of W_skip.
    """

    family = "transcoder"
    is_transcoder = True

    def hidden(self, x: Float[Tensor, "batch d_in"]) -> Float[Tensor, "batch d_in"]:
        """What the encoder reads: the activations as they are (the decoder's bias belongs to another place)."""
        return x
