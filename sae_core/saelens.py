"""What SAELens' conventions mean in ours, for dictionaries that another maker saved in its layout.

Takes tensors and the parsed `cfg.json`, gives tensors with unit-norm directions and a pre-encoder bias. Knows nothing
of reading files. Verified against the layout of SAELens 6.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from sae_core.errors import DictionaryFormatError

__all__ = ["LAYOUT_VERSION", "to_our_convention"]

LAYOUT_VERSION = "6.54.12"
"""The SAELens version whose layout is written; without one SAELens takes a file for an old one."""


def to_our_convention(tensors: Mapping[str, Tensor], cfg: Mapping[str, Any], *, path: Path) -> dict[str, Tensor]:
    """Fold decoder norms into the encoder, and a missing pre-encoder subtraction into its bias.

    With norms r: f_i r_i along unit directions is the same reconstruction, and ReLU(z) r = ReLU(z r). A TopK that
    selects by z alone cannot be folded unless r = 1. Raises DictionaryFormatError for what cannot be expressed.
    """
    for key in ("normalize_activations", "reshape_activations"):
        if cfg.get(key, "none") != "none":
            raise DictionaryFormatError(
                f'{path}: {key} = {cfg[key]!r} cannot be read; fold it first, so that it is "none"'
            )
    if cfg["architecture"] not in ("standard", "topk"):
        return dict(tensors)
    w_enc, b_enc, w_dec, b_dec = (tensors[name] for name in ("W_enc", "b_enc", "W_dec", "b_dec"))
    if not cfg.get("apply_b_dec_to_input", True):
        b_enc = b_enc + b_dec @ w_enc
    norms = w_dec.norm(dim=1)
    if bool(((norms - 1).abs() > 1e-5).any()):
        if cfg["architecture"] == "topk" and not cfg.get("rescale_acts_by_decoder_norm", False):
            raise DictionaryFormatError(
                f"{path}: a topk dictionary whose directions have norms {float(norms.min()):.3g} to "
                f"{float(norms.max()):.3g} and that selects without them cannot be read; normalise W_dec per feature"
            )
        if float(norms.min()) == 0:
            raise DictionaryFormatError(f"{path}: feature {int(norms.argmin())} has a decoder direction of norm 0")
        w_enc, b_enc, w_dec = w_enc * norms, b_enc * norms, w_dec / norms[:, None]
    return {**tensors, "W_enc": w_enc, "b_enc": b_enc, "W_dec": w_dec, "b_dec": b_dec}
