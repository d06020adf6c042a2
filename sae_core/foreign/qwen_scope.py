"""Qwen Scope's dictionaries: TopK weights in `layerL.sae.pt`, k in the repository's name.

The layout is stated by the model cards of the collection Qwen/qwen-scope (arXiv 2605.11887), such as
Qwen/SAE-Res-Qwen3.5-2B-Base-W32K-L0_50, and read so by SAELens' loader `qwen_scope`: residual stream after a block, no
b_dec subtraction.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from torch import Tensor

from sae_core.errors import DictionaryFormatError
from sae_core.foreign.coder import ForeignCoder, to_dictionary
from sae_core.foreign.facts import coder_facts
from sae_core.foreign.files import read_torch
from sae_core.foreign.imported import Imported
from sae_core.foreign.tensor_file import TensorFile

__all__ = ["is_qwen_scope", "read_qwen_scope"]

NAMES = {"W_enc", "W_dec", "b_enc", "b_dec"}


def is_qwen_scope(content: dict[str, Any]) -> bool:
    """Whether a torch file's dict looks like this format: these four tensors, the encoder [n, d]."""
    if set(content) != NAMES or not all(isinstance(value, Tensor) for value in content.values()):
        return False
    return tuple(content["W_enc"].shape) == (content["b_enc"].numel(), content["b_dec"].numel())


def read_qwen_scope(path: Path) -> Imported:
    """The dictionary in `path`, whose repository's name stands in the path. Raises DictionaryFormatError."""
    file = TensorFile(path, read_torch(path), sizes_from="W_enc")
    n, d = file.shape("W_enc", n_axes=2)
    named = re.search(r"SAE-Res-(?P<model>[^/]+)-W\d+K-L0_(?P<k>\d+)(?:/|$)", path.absolute().as_posix())
    if named is None or not 1 <= int(named["k"]) <= n:
        raise DictionaryFormatError(
            f"{path}: how many features fire is told by the name of a Qwen Scope repository alone; keep the file in a "
            "folder called as it is there, such as SAE-Res-Qwen3-8B-Base-W64K-L0_50"
        )
    coder = ForeignCoder(
        rule="topk",
        W_enc=file.take("W_enc", n, d),
        b_enc=file.take("b_enc", n),
        W_dec=file.take("W_dec", d, n).T.contiguous(),
        b_dec=file.take("b_dec", d),
        is_centred=False,
        k=int(named["k"]),
    )
    file.finish("a Qwen Scope dictionary")
    metadata: dict[str, Any] = {"model_name": f"Qwen/{named['model']}"}
    layer = re.fullmatch(r"layer(\d+)\.sae\.pt", path.name)
    if layer:
        metadata |= {"hook_name": f"blocks.{layer[1]}.hook_resid_post", "layer": int(layer[1])}
    return Imported(
        dictionary=to_dictionary(coder),
        format="qwen_scope",
        architecture="topk",
        facts=coder_facts(coder),
        metadata=metadata,
    )
