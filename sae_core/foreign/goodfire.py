"""Goodfire's dictionaries: a ReLU state dict in one `.pt` or `.pth` file.

The layout is that of the class SparseAutoEncoder in the model cards of Goodfire/Llama-3.1-8B-Instruct-SAE-l19 and
Goodfire/Llama-3.3-70B-Instruct-SAE-l50, and of SAELens' loader `goodfire`: two linear layers with biases.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from sae_core.foreign.coder import ForeignCoder, to_dictionary
from sae_core.foreign.facts import coder_facts
from sae_core.foreign.files import read_torch
from sae_core.foreign.imported import Imported
from sae_core.foreign.tensor_file import TensorFile

__all__ = ["is_goodfire", "read_goodfire"]


def is_goodfire(content: dict[str, Any]) -> bool:
    """Whether a torch file's dict looks like this format."""
    return "encoder_linear.weight" in content


def read_goodfire(path: Path) -> Imported:
    """The dictionary in `path`. Raises DictionaryFormatError."""
    file = TensorFile(path, read_torch(path), sizes_from="encoder_linear.weight")
    n, d = file.shape("encoder_linear.weight", n_axes=2)
    coder = ForeignCoder(
        rule="relu",
        W_enc=file.take("encoder_linear.weight", n, d),
        b_enc=file.take("encoder_linear.bias", n),
        W_dec=file.take("decoder_linear.weight", d, n).T.contiguous(),
        b_dec=file.take("decoder_linear.bias", d),
        is_centred=False,
    )
    file.finish("a Goodfire dictionary")
    # a release's file is called MODEL-SAE-lLAYER
    named = re.fullmatch(r"(?P<model>.+)-SAE-l(?P<layer>\d+)", path.stem)
    metadata: dict[str, Any] = {}
    if named:
        layer = int(named["layer"])
        metadata = {
            "model_name": f"meta-llama/{named['model']}",
            "hook_name": f"blocks.{layer}.hook_resid_post",
            "layer": layer,
        }
    return Imported(
        dictionary=to_dictionary(coder),
        format="goodfire",
        architecture="relu",
        facts=coder_facts(coder),
        metadata=metadata,
    )
