"""Transcoders of circuit-tracer: `layer_L.safetensors` each, or one layer `W_enc_L.safetensors` (with
`W_dec_L.safetensors` beside it) of a cross-layer transcoder; `config.yaml` says where they read and write.

The layout is written by circuit-tracer 0.5, SingleLayerTranscoder.to_safetensors and
CrossLayerTranscoder.to_safetensors, and read by its utils/hf_utils.py. Encoders [n, d]; a cross-layer decoder is
[n, layers from L on, d].
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from sae_core.errors import DictionaryFormatError
from sae_core.foreign.coder import CoderRule, ForeignCoder, to_dictionary
from sae_core.foreign.facts import coder_facts
from sae_core.foreign.files import read_safetensors, read_yaml, sum_decoders
from sae_core.foreign.imported import Imported
from sae_core.foreign.settings import Settings
from sae_core.foreign.tensor_file import TensorFile

__all__ = ["CONFIG_FILE", "CROSS_LAYER_FILE", "LAYER_FILE", "read_circuit_tracer"]

CONFIG_FILE = "config.yaml"
LAYER_FILE = re.compile(r"layer_(\d+)\.safetensors")
CROSS_LAYER_FILE = re.compile(r"W_(?:enc|dec)_(\d+)\.safetensors")

RULES: dict[str, CoderRule] = {"relu": "relu", "topk": "signed_topk", "jump_relu": "jumprelu"}
"""Activation -> rule; its TopK keeps the k largest whatever their sign."""


def read_circuit_tracer(path: Path) -> Imported:
    """The dictionary in `path`, the file of one layer. Raises DictionaryFormatError."""
    alone, crossing = LAYER_FILE.fullmatch(path.name), CROSS_LAYER_FILE.fullmatch(path.name)
    match = alone or crossing
    if match is None:
        raise DictionaryFormatError(
            f"{path}: not the file of one layer; give layer_L.safetensors, or W_enc_L.safetensors of a cross-layer "
            "transcoder"
        )
    config = path.parent / CONFIG_FILE
    settings = Settings(config, read_yaml(config) if config.exists() else {})
    layer = int(match[1])
    coder = _layer(path, settings) if alone else _crossing_layer(path.parent, layer)
    return Imported(
        dictionary=to_dictionary(coder),
        format="circuit_tracer",
        architecture="transcoder_set" if alone else "cross_layer_transcoder",
        facts=coder_facts(coder),
        metadata=_metadata(settings, layer),
        notes=_notes(coder),
    )


def _layer(path: Path, settings: Settings) -> ForeignCoder:
    file = TensorFile(path, read_safetensors(path), sizes_from="b_enc and b_dec")
    n, d = file.shape("b_enc", n_axes=1)[0], file.shape("b_dec", n_axes=1)[0]
    coder = ForeignCoder(
        rule="relu",
        W_enc=file.take("W_enc", n, d),
        b_enc=file.take("b_enc", n),
        W_dec=file.take("W_dec", n, d),
        b_dec=file.take("b_dec", d),
        W_skip=file.take("W_skip", d, d) if "W_skip" in file else None,
        is_centred=False,
        is_transcoder=True,
    )
    threshold = "activation_function.threshold"
    found = "jump_relu" if threshold in file else "topk" if "k" in file else "relu"
    rule = RULES[settings.choice("activation", tuple(RULES), default=found)]
    if rule == "jumprelu":
        coder = replace(coder, threshold=file.take_as(threshold, torch.float64, n))
    if rule == "signed_topk":
        k = int(file.take_as("k", torch.int64)) if "k" in file else settings.count("k", most=n)
        coder = replace(coder, k=k)
    file.finish(f"a circuit-tracer transcoder of activation {rule}")
    return replace(coder, rule=rule)


def _crossing_layer(folder: Path, layer: int) -> ForeignCoder:
    encoder, decoder = (folder / f"W_{side}_{layer}.safetensors" for side in ("enc", "dec"))
    name = f"W_dec_{layer}"
    tensors = read_safetensors(encoder) | {name: sum_decoders(decoder, name)}
    file = TensorFile(encoder, tensors, sizes_from="b_enc and b_dec")
    n, d = file.shape(f"b_enc_{layer}", n_axes=1)[0], file.shape(f"b_dec_{layer}", n_axes=1)[0]
    has_threshold = f"threshold_{layer}" in file
    coder = ForeignCoder(
        rule="jumprelu" if has_threshold else "relu",
        W_enc=file.take(f"W_enc_{layer}", n, d),
        b_enc=file.take(f"b_enc_{layer}", n),
        W_dec=file.take(name, n, d),
        b_dec=file.take(f"b_dec_{layer}", d),
        threshold=file.take_as(f"threshold_{layer}", torch.float64, n) if has_threshold else None,
        is_centred=False,
        is_transcoder=True,
        is_cross_layer=True,
    )
    file.finish("a circuit-tracer cross-layer transcoder")
    return coder


def _metadata(settings: Settings, layer: int) -> dict[str, Any]:
    facts: dict[str, Any] = {"layer": layer}
    if isinstance(settings.get("model_name"), str):
        facts["model_name"] = settings.get("model_name")
    for key, name in (("feature_input_hook", "hook_name"), ("feature_output_hook", "hook_name_out")):
        if isinstance(settings.get(key), str):
            facts[name] = f"blocks.{layer}.{settings.get(key)}"
    return facts


def _notes(coder: ForeignCoder) -> tuple[str, ...]:
    if coder.threshold is None or bool((coder.threshold >= 0).all()):
        return ()
    return ("thresholds below 0 are read as 0: circuit-tracer lets negative activations pass there",)
