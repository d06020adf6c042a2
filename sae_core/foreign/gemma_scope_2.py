"""Gemma Scope 2's dictionaries: JumpReLU weights `params.safetensors`, or `params_layer_L.safetensors` of a
cross-layer transcoder.

The layout is that of Google's tutorial (class JumpReLUSAE), of SAELens' loader `gemma_3` and, for transcoders, of
circuit-tracer's load_gemma_scope_2_transcoder and load_gemma_scope_2_clt. No b_dec subtraction; the skip is stored
[d_in, d_out]; a cross-layer w_dec is [n, layers, d_out], counted from layer 0.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from sae_core.errors import DictionaryFormatError
from sae_core.foreign.coder import ForeignCoder, to_dictionary
from sae_core.foreign.facts import coder_facts
from sae_core.foreign.files import read_json, read_safetensors, safetensors_shapes, sum_decoders
from sae_core.foreign.imported import Imported
from sae_core.foreign.settings import Settings
from sae_core.foreign.tensor_file import TensorFile

__all__ = ["CONFIG_FILE", "WEIGHTS_FILE", "read_gemma_scope_2"]

WEIGHTS_FILE = "params.safetensors"
CONFIG_FILE = "config.json"

HOOKS = {
    "resid_post": ("hook_resid_post", None),
    "attn_out": ("attn.hook_z", None),
    "mlp_out": ("hook_mlp_out", None),
    "transcoder": ("mlp.hook_in", "hook_mlp_out"),
    "clt": ("mlp.hook_in", "hook_mlp_out"),
}
"""Folder of a release (some end in _all) -> the hooks read and written, in transformer_lens."""

WRITTEN = "hf_hook_point_out"
"""Key of a transcoder's configuration."""


def read_gemma_scope_2(path: Path) -> Imported:
    """The dictionary in `path`, a file of weights or a directory with one. Raises DictionaryFormatError."""
    path = path / WEIGHTS_FILE if path.is_dir() else path
    config = path.parent / CONFIG_FILE
    settings = Settings(config, read_json(config) if config.exists() else {})
    settings.choice("architecture", ("jump_relu",), default="jump_relu")
    metadata = _metadata(path, settings)
    is_cross_layer = len(safetensors_shapes(path).get("w_dec", ())) == 3
    if is_cross_layer and "layer" not in metadata:
        raise DictionaryFormatError(f"{path}: the layer it reads is told by its name alone; call it params_layer_L")
    coder = _coder(path, metadata.get("layer") if is_cross_layer else None)
    is_transcoder = is_cross_layer or "hook_name_out" in metadata or WRITTEN in settings.values
    coder = replace(coder, is_transcoder=is_transcoder or coder.W_skip is not None, is_cross_layer=is_cross_layer)
    notes = ()
    if not coder.is_transcoder and "hook_name" not in metadata:
        notes = (f"taken for an autoencoder: neither its folder's name nor {CONFIG_FILE} says what it is",)
    return Imported(
        dictionary=to_dictionary(coder),
        format="gemma_scope_2",
        architecture="jump_relu",
        facts=coder_facts(coder),
        metadata=metadata,
        notes=notes,
    )


def _coder(path: Path, layer: int | None) -> ForeignCoder:
    """`layer`: that of a cross-layer transcoder, whose decoders from there on are added up."""
    tensors = read_safetensors(path, without=None if layer is None else "w_dec")
    if layer is not None:
        tensors["w_dec"] = sum_decoders(path, "w_dec", first=layer)
    file = TensorFile(path, tensors, sizes_from="w_enc")
    d, n = file.shape("w_enc", n_axes=2)
    d_out = file.shape("b_dec", n_axes=1)[0]
    has_skip = "affine_skip_connection" in file
    coder = ForeignCoder(
        rule="jumprelu",
        W_enc=file.take("w_enc", d, n).T.contiguous(),
        b_enc=file.take("b_enc", n),
        W_dec=file.take("w_dec", n, d_out),
        b_dec=file.take("b_dec", d_out),
        threshold=file.take_as("threshold", torch.float64, n),
        W_skip=file.take("affine_skip_connection", d, d_out).T.contiguous() if has_skip else None,
        is_centred=False,
    )
    file.finish("a Gemma Scope 2 dictionary")
    return coder


def _metadata(path: Path, settings: Settings) -> dict[str, Any]:
    """Model, layer and hooks, as far as path and configuration name them."""
    text = path.absolute().as_posix()
    facts: dict[str, Any] = {}
    layer = re.search(r"[/_]layer_(\d+)[_./]", text)
    if layer:
        facts["layer"] = int(layer[1])
    folder = re.search(r"/(" + "|".join(HOOKS) + r")(?:_all)?/", text)
    if folder and layer:
        read, written = HOOKS[folder[1]]
        facts["hook_name"] = f"blocks.{layer[1]}.{read}"
        if written is not None:
            facts["hook_name_out"] = f"blocks.{layer[1]}.{written}"
    release = re.search(r"gemma-scope-2-(\d+[bm])-(pt|it)/", text)
    if release:
        # the smallest base model's name has no ending
        ending = "" if release.groups() == ("270m", "pt") else f"-{release[2]}"
        facts["model_name"] = f"google/gemma-3-{release[1]}{ending}"
    elif isinstance(settings.get("model_name"), str):
        facts["model_name"] = settings.get("model_name")
    return facts
