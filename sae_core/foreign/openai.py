"""OpenAI's dictionaries (Gao et al. 2024, arXiv 2406.04093): a `.pt` state dict; TopK implies layer norm.

Read safely: tensors, numbers and strings only.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from sae_core.errors import DictionaryFormatError
from sae_core.foreign.coder import CoderRule, ForeignCoder, to_dictionary
from sae_core.foreign.facts import coder_facts
from sae_core.foreign.files import read_torch
from sae_core.foreign.imported import Imported
from sae_core.foreign.settings import Settings
from sae_core.foreign.tensor_file import TensorFile

__all__ = ["is_openai", "read_openai"]

STATISTICS = ("stats_last_nonzero", "latents_activation_frequency", "latents_mean_square")
"""Tensors used in training only."""

AFTER_TOPK: dict[str, CoderRule] = {"ReLU": "topk", "Identity": "signed_topk"}
"""Function after the k largest -> rule."""


def is_openai(content: dict[str, Any]) -> bool:
    """Whether a torch file's dict looks like this format."""
    return "latent_bias" in content or ("pre_bias" in content and "encoder.weight" in content)


def read_openai(path: Path) -> Imported:
    """The dictionary in `path`. Raises DictionaryFormatError."""
    content = read_torch(path)
    file = TensorFile(path, content, sizes_from="encoder.weight")
    n, d = file.shape("encoder.weight", n_axes=2)
    w_enc = file.take("encoder.weight", n, d)
    is_tied = "decoder.linear.weight" in file
    w_dec = file.take("decoder.linear.weight", n, d) if is_tied else file.take("decoder.weight", d, n).T.contiguous()
    coder = ForeignCoder(
        rule="relu",
        W_enc=w_enc,
        b_enc=file.take("latent_bias", n),
        W_dec=w_dec,
        b_dec=file.take("pre_bias", d),
    )
    file.ignore((*STATISTICS, "activation", "activation_state_dict"))
    activation = content.get("activation", "ReLU")
    if activation == "TopK":
        coder = _topk(coder, content.get("activation_state_dict"), path)
    elif activation != "ReLU":
        raise DictionaryFormatError(f"{path}: activation = {activation!r} cannot be read; known ones: ReLU, TopK")
    file.finish("an OpenAI dictionary")
    return Imported(
        dictionary=to_dictionary(coder),
        format="openai",
        architecture=activation,
        facts=coder_facts(coder) | {"normalize_activations": coder.normalisation or "none"},
        notes=("TopK implies layer norm of the activations",) if activation == "TopK" else (),
    )


def _topk(coder: ForeignCoder, options: object, path: Path) -> ForeignCoder:
    n = coder.W_dec.shape[0]
    k = options.get("k") if isinstance(options, dict) else None
    if not isinstance(k, int) or isinstance(k, bool) or not 1 <= k <= n:
        raise DictionaryFormatError(
            f"{path}: activation_state_dict k = {k!r}, must be a whole number from 1 to {n}; save it again"
        )
    assert isinstance(options, dict)
    Settings(path, options).only(("k", "postact_fn"))
    after = options.get("postact_fn", "ReLU")
    if after not in AFTER_TOPK:
        raise DictionaryFormatError(f"{path}: postact_fn = {after!r} cannot be read; known ones: ReLU, Identity")
    return replace(coder, rule=AFTER_TOPK[after], k=k, normalisation="layer_norm")
