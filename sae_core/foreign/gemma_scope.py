"""Gemma Scope's dictionaries: JumpReLU weights in `layer_L/width_W/average_l0_K/params.npz`.

Lieberum et al. 2024 (arXiv 2408.05147, appendix). The encoder does not subtract the decoder's bias.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import torch

from sae_core.foreign.coder import ForeignCoder, to_dictionary
from sae_core.foreign.facts import coder_facts
from sae_core.foreign.files import read_npz
from sae_core.foreign.imported import Imported
from sae_core.foreign.tensor_file import TensorFile

__all__ = ["WEIGHTS_FILE", "read_gemma_scope"]

WEIGHTS_FILE = "params.npz"

HOOKS = {"res": "hook_resid_post", "mlp": "hook_mlp_out", "att": "attn.hook_z"}
"""End of a release's name -> its hook in transformer_lens."""


def read_gemma_scope(path: Path) -> Imported:
    """The dictionary in `path`, a `params.npz` or a directory with one. Raises DictionaryFormatError."""
    path = path / WEIGHTS_FILE if path.is_dir() else path
    file = TensorFile(path, read_npz(path), sizes_from="W_enc")
    d, n = file.shape("W_enc", n_axes=2)
    coder = ForeignCoder(
        rule="jumprelu",
        W_enc=file.take("W_enc", d, n).T.contiguous(),
        b_enc=file.take("b_enc", n),
        W_dec=file.take("W_dec", n, d),
        b_dec=file.take("b_dec", d),
        threshold=file.take_as("threshold", torch.float64, n),
        is_centred=False,
    )
    file.finish("a Gemma Scope dictionary")
    metadata = _metadata(path)
    if "-transcoders" in str(metadata.get("release")):
        coder = replace(coder, is_transcoder=True)
    return Imported(
        dictionary=to_dictionary(coder),
        format="gemma_scope",
        architecture="jumprelu",
        facts=coder_facts(coder),
        metadata=metadata,
    )


def _metadata(path: Path) -> dict[str, str | int]:
    """Layer, width, L0, release and model, as far as the path names them."""
    text = path.absolute().as_posix()  # the hub's cache holds links to files without a name
    facts: dict[str, str | int] = {}
    for key, pattern in (("layer", r"/layer_(\d+)/"), ("average_l0", r"/average_l0_(\d+)/")):
        match = re.search(pattern, text)
        if match:
            facts[key] = int(match[1])
    for key, pattern in (("width", r"/width_([0-9a-z]+)/"), ("release", r"/(?:models--[^/]+--)?(gemma-scope-[^/]+)/")):
        match = re.search(pattern, text)
        if match:
            facts[key] = match[1]
    model = re.match(r"gemma-scope-(\d+b)-(pt|it)-([a-z]+)", str(facts.get("release")))
    if model:
        facts["model_name"] = f"google/gemma-2-{model[1]}" + "-it" * (model[2] == "it")
        if model[3] in HOOKS and "layer" in facts:
            facts["hook_name"] = f"blocks.{facts['layer']}.{HOOKS[model[3]]}"
    return facts
