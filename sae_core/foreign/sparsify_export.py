"""Our TopK dictionaries as sparsify reads them."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from sae_core.architectures.ruled import RuledDictionary
from sae_core.architectures.topk import TopKDictionary
from sae_core.architectures.transcoder import TranscoderDictionary
from sae_core.description import kind_of
from sae_core.dictionary import Dictionary
from sae_core.errors import DictionaryExportError

__all__ = ["sparsify_files"]


def sparsify_files(dictionary: Dictionary) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """(`cfg.json`, tensors of `sae.safetensors`). Raises DictionaryExportError."""
    is_ruled = isinstance(dictionary, RuledDictionary) and dictionary.rule in ("topk", "groupmax")
    is_square = dictionary.directions.shape[1] == dictionary.d_in
    if not is_square or not (is_ruled or type(dictionary) is TopKDictionary):
        raise DictionaryExportError(
            f"sparsify cannot hold a {kind_of(dictionary)} dictionary; it can hold topk and groupmax, with or without "
            "a skip, and transcoders of these whose input and output have one width"
        )
    ruled = dictionary if isinstance(dictionary, RuledDictionary) else None
    tensors = dictionary.state_dict()
    decoder = tensors["W_dec"] if ruled is None else tensors["W_dec"] * ruled.code_scale[:, None]
    named = {
        "encoder.weight": tensors["W_enc"],
        "encoder.bias": tensors["b_enc"],
        "W_dec": decoder,
        "b_dec": tensors["b_dec"],
    }
    has_skip = ruled is not None and ruled.has_skip
    if has_skip:
        named["W_skip"] = tensors["W_skip"]
    cfg = {
        "activation": "topk" if ruled is None else ruled.rule,
        "expansion_factor": max(1, dictionary.n_features // dictionary.d_in),
        "normalize_decoder": True,
        "num_latents": dictionary.n_features,
        "k": dictionary.config.k,
        "multi_topk": False,
        "skip_connection": has_skip,
        "transcode": isinstance(dictionary, TranscoderDictionary),
        "d_in": dictionary.d_in,
    }
    return cfg, {name: tensor.detach().cpu().float().contiguous() for name, tensor in named.items()}
