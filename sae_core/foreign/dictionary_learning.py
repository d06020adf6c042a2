"""Dictionaries of dictionary_learning 0.1: a state dict `ae.pt`, with `config.json` beside it.

Read safely: tensors, numbers and strings only.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sae_core.errors import DictionaryFormatError
from sae_core.foreign.coder import ForeignCoder, to_dictionary
from sae_core.foreign.facts import coder_facts
from sae_core.foreign.files import read_json, read_torch
from sae_core.foreign.imported import Imported
from sae_core.foreign.settings import Settings
from sae_core.foreign.tensor_file import TensorFile

__all__ = ["CONFIG_FILE", "WEIGHTS_FILE", "is_dictionary_learning", "read_dictionary_learning"]

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "ae.pt"

KNOWN_CLASSES = (
    "AutoEncoder",
    "AutoEncoderNew",
    "GatedAutoEncoder",
    "AutoEncoderTopK",
    "BatchTopKSAE",
    "MatryoshkaBatchTopKSAE",
    "JumpReluAutoEncoder",
)
KEYS: dict[frozenset[str], tuple[str, ...]] = {
    frozenset({"bias", "encoder.weight", "encoder.bias", "decoder.weight"}): ("AutoEncoder",),
    frozenset({"encoder.weight", "encoder.bias", "decoder.weight", "decoder.bias"}): ("AutoEncoderNew",),
    frozenset({"decoder_bias", "encoder.weight", "r_mag", "gate_bias", "mag_bias", "decoder.weight"}): (
        "GatedAutoEncoder",
    ),
    frozenset({"k", "threshold", "decoder.weight", "encoder.weight", "encoder.bias", "b_dec"}): (
        "AutoEncoderTopK",
        "BatchTopKSAE",
    ),
    frozenset({"k", "threshold", "group_sizes", "W_enc", "b_enc", "W_dec", "b_dec"}): ("MatryoshkaBatchTopKSAE",),
    frozenset({"W_enc", "b_enc", "W_dec", "b_dec", "threshold"}): ("JumpReluAutoEncoder",),
}


def is_dictionary_learning(content: dict[str, Any]) -> bool:
    """Whether a torch file's dict is one of this tool's state dicts, or a checkpoint with one."""
    weights = content.get("ae", content)
    return isinstance(weights, dict) and any(len(names & set(weights)) >= len(names) - 1 for names in KEYS)


def read_dictionary_learning(path: Path) -> Imported:
    """The dictionary in `path`, an `ae.pt` or a directory with one. Raises DictionaryFormatError."""
    path = path / WEIGHTS_FILE if path.is_dir() else path
    content = read_torch(path)
    weights = content.get("ae", content)
    if not isinstance(weights, dict):
        raise DictionaryFormatError(f"{path}: 'ae' is no state dict; save trainer.ae.state_dict()")
    trainer, buffer = _training(path, content)
    architecture = _architecture(path, weights, trainer.get("dict_class"))
    file = TensorFile(path, weights, sizes_from="its encoder")
    coder = _coder(file, architecture)
    file.finish(f"a dictionary_learning {architecture}")
    facts = coder_facts(coder)
    notes = []
    if coder.threshold is not None and coder.threshold.ndim == 0 and float(coder.threshold) < 0:
        facts["threshold"] = "not set"
        if architecture != "AutoEncoderTopK":
            notes.append("the threshold was never set (-1): every positive pre-activation fires")
    factor = content.get("norm_factor") if "ae" in content else None
    if isinstance(factor, int | float) and factor > 0:
        # Inside a checkpoint the biases are still in the units of normalised activations, x / factor.
        coder = coder.on_scaled_inputs(1 / float(factor))
        notes.append(f"norm_factor = {factor:.6g} of the checkpoint is folded into the weights")
    metadata = {
        "model_name": trainer.get("lm_name"),
        "layer": trainer.get("layer"),
        "hook_name": trainer.get("submodule_name"),
        "context_size": buffer.get("ctx_len"),
    }
    return Imported(
        dictionary=to_dictionary(coder),
        format="dictionary_learning",
        architecture=architecture,
        facts=facts,
        metadata={key: value for key, value in metadata.items() if isinstance(value, str | int)},
        notes=tuple(notes),
    )


def _training(path: Path, content: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    inside = content.get("config") if "ae" in content else None
    if isinstance(inside, dict) and "dict_class" in inside:
        return inside, {}
    for folder in (path.parent, path.parent.parent):
        if (folder / CONFIG_FILE).exists():
            settings = Settings(folder / CONFIG_FILE, read_json(folder / CONFIG_FILE))
            return settings.mapping("trainer"), settings.mapping("buffer")
    return {}, {}


def _architecture(path: Path, weights: dict[str, Any], stated: object) -> str:
    if stated is not None and stated not in KNOWN_CLASSES:
        raise DictionaryFormatError(
            f"{path}: dict_class = {stated!r} cannot be read; known ones: {', '.join(KNOWN_CLASSES)}"
        )
    if stated is not None:
        return str(stated)
    # The set of names decides; a damaged one goes to the nearest class, whose missing tensor is then named.
    nearest = max(KEYS, key=lambda names: len(names & set(weights)) / len(names | set(weights)))
    candidates = KEYS[nearest]
    if len(candidates) == 1:
        return candidates[0]
    raise DictionaryFormatError(
        f"{path}: these tensors may be {' or '.join(candidates)}; put the training's {CONFIG_FILE} beside it, "
        "whose trainer.dict_class says which"
    )


def _coder(file: TensorFile, architecture: str) -> ForeignCoder:
    if architecture in ("JumpReluAutoEncoder", "MatryoshkaBatchTopKSAE"):
        d, n = file.shape("W_enc", n_axes=2)
        coder = ForeignCoder(
            rule="jumprelu",
            W_enc=file.take("W_enc", d, n).T,
            b_enc=file.take("b_enc", n),
            W_dec=file.take("W_dec", n, d),
            b_dec=file.take("b_dec", d),
            is_centred=architecture == "MatryoshkaBatchTopKSAE",
        )
        if not coder.is_centred:
            return replace(coder, threshold=file.take_as("threshold", torch.float64, n))
        sizes = file.take_as("group_sizes", torch.int64, *file.shape("group_sizes", n_axes=1))
        prefixes = tuple(sizes.cumsum(0).tolist())
        if bool((sizes < 1).any()) or prefixes[-1] != n:
            raise DictionaryFormatError(f"{file.path}: group_sizes = {sizes.tolist()}, must be positive and sum to {n}")
        return _with_k(file, replace(coder, rule="matryoshka", prefixes=prefixes), n)
    n, d = file.shape("encoder.weight", n_axes=2)
    coder = ForeignCoder(
        rule="relu",
        W_enc=file.take("encoder.weight", n, d),
        W_dec=file.take("decoder.weight", d, n).T.contiguous(),
        b_dec=file.take(_OFFSETS[architecture], d),
        is_centred=architecture != "AutoEncoderNew",
    )
    if architecture == "GatedAutoEncoder":
        gates = {"b_gate": file.take("gate_bias", n), "b_mag": file.take("mag_bias", n), "r_mag": file.take("r_mag", n)}
        return replace(coder, rule="gated", **gates)
    coder = replace(coder, b_enc=file.take("encoder.bias", n))
    if architecture in ("AutoEncoder", "AutoEncoderNew"):
        return coder
    return _with_k(file, replace(coder, rule="topk" if architecture == "AutoEncoderTopK" else "batchtopk"), n)


_OFFSETS = {
    "AutoEncoder": "bias",
    "AutoEncoderNew": "decoder.bias",
    "GatedAutoEncoder": "decoder_bias",
    "AutoEncoderTopK": "b_dec",
    "BatchTopKSAE": "b_dec",
}


def _with_k(file: TensorFile, coder: ForeignCoder, n: int) -> ForeignCoder:
    k = int(_scalar(file, "k", torch.int64))
    if not 1 <= k <= n:
        raise DictionaryFormatError(f"{file.path}: k = {k}, must be at least 1 and at most the {n} features")
    return replace(coder, k=k, threshold=_scalar(file, "threshold", torch.float64) if "threshold" in file else None)


def _scalar(file: TensorFile, name: str, dtype: torch.dtype) -> Tensor:
    return file.take_as(name, dtype)
