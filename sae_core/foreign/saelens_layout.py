"""Our parameters as SAELens' tensors, and back without loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from torch import Tensor

from sae_core.config import DictionaryConfig
from sae_core.dictionary import Dictionary

__all__ = ["ARCHITECTURES", "LAYOUT_VERSION", "base_cfg", "from_layout", "kind_cfg", "part_of", "to_layout"]

LAYOUT_VERSION = "6.54.12"
"""SAELens version of the layout; without one SAELens takes a file for an old one."""

ARCHITECTURES: dict[str, str] = {
    "relu": "standard",
    "topk": "topk",
    "abstopk": "abstopk",
    "jumprelu": "jumprelu",
    "gated": "gated",
    "batchtopk": "batchtopk",
    "matryoshka": "matryoshka_batchtopk",
}
"""Kind -> SAELens' architecture with the same parameters."""


class Part(NamedTuple):
    """A tensor of the file; `is_turned`: transposed."""

    name: str
    is_turned: bool = False
    is_exponential: bool = False
    is_double: bool = False


PARTS: dict[str, Part] = {
    "W_enc": Part("W_enc", is_turned=True),
    "b_enc": Part("b_enc"),
    "W_dec": Part("W_dec"),
    "b_dec": Part("b_dec"),
    "b_gate": Part("b_gate"),
    "b_mag": Part("b_mag"),
    "r_mag": Part("r_mag"),
    # In float64, because log(exp(x)) gives back a float32 x only there; SAELens casts it when it loads.
    "log_threshold": Part("threshold", is_exponential=True, is_double=True),
    "threshold": Part("topk_threshold", is_double=True),
}
"""Our parameter -> SAELens' tensor."""


def part_of(name: str) -> Part | None:
    return PARTS.get(name)


def to_layout(dictionary: Dictionary) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """(tensors by their names in the file, tensors without a place there by our names)."""
    tensors: dict[str, Tensor] = {}
    rest: dict[str, Tensor] = {}
    for name, tensor in dictionary.state_dict().items():
        part = part_of(name)
        plain = tensor.detach().cpu()
        if part is None:
            rest[name] = plain
            continue
        plain = plain.double() if part.is_double else plain
        plain = plain.exp() if part.is_exponential else plain
        tensors[part.name] = (plain.T if part.is_turned else plain).contiguous()
    return tensors, rest


def from_layout(tensors: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The inverse of `to_layout`, for the names in `wanted`."""
    state: dict[str, Tensor] = {}
    for name, expected in wanted.items():
        part = part_of(name)
        if part is None:
            continue
        tensor = tensors[part.name]
        tensor = tensor.log() if part.is_exponential else tensor
        state[name] = (tensor.T if part.is_turned else tensor).to(expected.dtype)
    return state


def base_cfg(*, architecture: str, d_in: int, d_sae: int, metadata: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of every `cfg.json`: float32, encoder of x - b_dec."""
    return {
        "architecture": architecture,
        "d_in": d_in,
        "d_sae": d_sae,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": True,
        "normalize_activations": "none",
        "reshape_activations": "none",
        "metadata": {**metadata, "sae_lens_version": LAYOUT_VERSION},
    }


def kind_cfg(config: DictionaryConfig) -> dict[str, Any]:
    """Further keys of a kind."""
    if config.kind not in ("topk", "abstopk", "batchtopk", "matryoshka"):
        return {}
    keys: dict[str, Any] = {"k": config.k, "rescale_acts_by_decoder_norm": False}
    return keys | ({"matryoshka_widths": list(config.prefixes)} if config.kind == "matryoshka" else {})
