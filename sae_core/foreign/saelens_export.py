"""Our dictionaries as SAELens 6 reads them for inference.

BatchTopK, Matryoshka and ProLU become jumprelu.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from sae_core.architectures.matching_pursuit import MatchingPursuitDictionary
from sae_core.architectures.normalised import NormalisedDictionary
from sae_core.architectures.ruled import RuledDictionary
from sae_core.architectures.transcoder import TranscoderDictionary
from sae_core.description import kind_of
from sae_core.dictionary import Dictionary
from sae_core.errors import DictionaryExportError
from sae_core.foreign.saelens_layout import ARCHITECTURES, base_cfg, kind_cfg, to_layout

__all__ = ["saelens_files"]

CAN_HOLD = (
    "relu, topk, abstopk, jumprelu, gated, batchtopk and matryoshka (as jumprelu, once their threshold is learned), "
    "prolu (as jumprelu), matching pursuit, relu and jumprelu transcoders"
)

Files = tuple[dict[str, Any], dict[str, Tensor]]


def saelens_files(dictionary: Dictionary, *, metadata: Mapping[str, Any]) -> Files:
    """(`cfg.json`, tensors of `sae_weights.safetensors`). Raises DictionaryExportError."""
    if isinstance(dictionary, NormalisedDictionary):
        cfg, tensors = saelens_files(dictionary.inner, metadata=metadata)
        return cfg | {"normalize_activations": dictionary.method}, tensors
    architecture, further, tensors = _parts(dictionary)
    cfg = base_cfg(architecture=architecture, d_in=dictionary.d_in, d_sae=dictionary.n_features, metadata=metadata)
    return cfg | further, {name: tensor.float().contiguous() for name, tensor in tensors.items()}


def _parts(dictionary: Dictionary) -> tuple[str, dict[str, Any], dict[str, Tensor]]:
    """(architecture, its further keys, its tensors)."""
    if isinstance(dictionary, TranscoderDictionary):
        return _transcoder(dictionary)
    if isinstance(dictionary, RuledDictionary):
        return _ruled(dictionary)
    if isinstance(dictionary, MatchingPursuitDictionary):
        atoms = dictionary.W_dec * dictionary.atom_norm[:, None]
        stop = {
            "max_iterations": dictionary.n_steps,
            "residual_threshold": dictionary.residual_threshold,
            "stop_on_duplicate_support": dictionary.stops_on_repeat,
        }
        return "matching_pursuit", stop, {"W_dec": atoms, "b_dec": dictionary.b_dec}
    kind = dictionary.config.kind
    if kind in ARCHITECTURES or kind == "prolu":
        tensors, _ = to_layout(dictionary)
        if kind in ("batchtopk", "matryoshka"):
            return "jumprelu", {}, _with_threshold(tensors)
        if kind == "prolu":
            # m where m > 0 and m + b > 0, that is where m > max(0, -b).
            bias = tensors["b_enc"]
            return "jumprelu", {}, tensors | {"threshold": (-bias).clamp_min(0), "b_enc": torch.zeros_like(bias)}
        return ARCHITECTURES[kind], kind_cfg(dictionary.config), tensors
    raise _cannot(dictionary)


def _with_threshold(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    threshold = tensors.pop("topk_threshold")
    if float(threshold) < 0:
        raise DictionaryExportError(
            "the dictionary's threshold was never learned, so SAELens could not choose features one activation at a "
            "time; train it before exporting"
        )
    return tensors | {"threshold": threshold.expand_as(tensors["b_enc"])}


def _ruled(dictionary: RuledDictionary) -> tuple[str, dict[str, Any], dict[str, Tensor]]:
    if dictionary.has_skip or dictionary.rule not in ("topk", "abstopk"):
        raise _cannot(dictionary)
    keys = {"k": dictionary.config.k, "rescale_acts_by_decoder_norm": False}
    return dictionary.rule, keys, _scaled(dictionary)


def _transcoder(dictionary: TranscoderDictionary) -> tuple[str, dict[str, Any], dict[str, Tensor]]:
    if dictionary.rule not in ("relu", "jumprelu"):
        raise _cannot(dictionary)
    tensors = _scaled(dictionary)
    if dictionary.rule == "jumprelu":
        tensors["threshold"] = dictionary.threshold
    if dictionary.has_skip:
        tensors["W_skip"] = dictionary.W_skip
    parts = ("jumprelu" * (dictionary.rule == "jumprelu"), "skip" * dictionary.has_skip, "transcoder")
    keys = {"d_out": dictionary.d_out, "apply_b_dec_to_input": False}
    return "_".join(part for part in parts if part), keys, tensors


def _scaled(dictionary: RuledDictionary) -> dict[str, Tensor]:
    """Tensors whose decoder carries the codes' scale, so that the rule is unchanged."""
    return {
        "W_enc": dictionary.W_enc.T,
        "b_enc": dictionary.b_enc,
        "W_dec": dictionary.W_dec * dictionary.code_scale[:, None],
        "b_dec": dictionary.b_dec,
    }


def _cannot(dictionary: Dictionary) -> DictionaryExportError:
    return DictionaryExportError(
        f"SAELens has no architecture for a {kind_of(dictionary)} dictionary; it can hold {CAN_HOLD}"
    )
