"""Dictionaries on disk, in the layout of SAELens 6: `cfg.json` beside `sae_weights.safetensors`.

`standard` (relu) and `topk` are readable by SAELens itself; `mlp_encoder`, `identity` and `random_directions` do not
exist there and use the same two file names. Tensors come back bit for bit. Takes a dictionary and a directory; knows
nothing of runs. The rules for files of other makers are in saelens.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from sae_core import saelens
from sae_core.architectures.mlp import HiddenLayer, MlpDictionary
from sae_core.atomic import replace_file
from sae_core.build import FAMILIES
from sae_core.config import DictionaryConfig
from sae_core.dictionary import Dictionary
from sae_core.errors import DictionaryFormatError
from sae_core.randomness import generator
from sae_core.trainable import EncoderDictionary, TrainableDictionary

__all__ = ["CONFIG_FILE", "WEIGHTS_FILE", "load_dictionary", "read_metadata", "save_dictionary"]

CONFIG_FILE = "cfg.json"
WEIGHTS_FILE = "sae_weights.safetensors"

ARCHITECTURES: dict[str, str] = {
    "relu": "standard",
    "topk": "topk",
    "mlp": "mlp_encoder",
    "identity": "identity",
    "random": "random_directions",
}
"""Kind -> name of the architecture in `cfg.json`."""

UNIT_NORM_TOLERANCE = 1e-3


def save_dictionary(
    dictionary: Dictionary, directory: Path | str, *, metadata: Mapping[str, Any] | None = None
) -> Path:
    """Write the two files into `directory` (made where missing) and return it.

    `metadata` (JSON-ready: model_name, hook_name, ...) joins the file's own. Each file is written under a temporary
    name and moved into place, the configuration last, so that a directory with a `cfg.json` is complete.
    """
    folder = Path(directory)
    replace_file(folder / WEIGHTS_FILE, save(_tensors_of(dictionary)))
    text = json.dumps(_cfg_of(dictionary, metadata or {}), indent=2, sort_keys=True) + "\n"
    replace_file(folder / CONFIG_FILE, text.encode())
    return folder


def load_dictionary(directory: Path | str, *, device: str | torch.device = "cpu") -> Dictionary:
    """The dictionary in `directory`, in float32 on `device`, in evaluation mode and without gradients.

    Raises DictionaryFormatError, naming the path and the fix, when a file is missing or truncated, the architecture is
    unknown, a tensor is missing, of the wrong shape or not finite, or a decoder direction has not norm 1.
    """
    folder = Path(directory)
    cfg = _read_cfg(folder / CONFIG_FILE)
    path = folder / WEIGHTS_FILE
    tensors = {name: tensor.to(torch.float32) for name, tensor in _read_tensors(path).items()}
    own = cfg["metadata"].get("sae_core")
    config = _config_of(cfg, own, folder / CONFIG_FILE)
    dictionary = FAMILIES[config.kind](config, cfg["d_in"], generator(0, "load"), None)
    _check(tensors, _tensors_of(dictionary), path)
    if own is None:
        tensors = saelens.to_our_convention(tensors, cfg, path=folder / CONFIG_FILE)
    _check_norms(tensors, path)
    _fill(dictionary, tensors)
    if isinstance(dictionary, TrainableDictionary) and own is not None:
        dictionary.input_scale.fill_(float(own.get("input_scale", 1.0)))
    return dictionary.to(device).eval().requires_grad_(False)


def read_metadata(directory: Path | str) -> dict[str, Any]:
    """The `metadata` of a saved dictionary. Raises DictionaryFormatError."""
    return _read_cfg(Path(directory) / CONFIG_FILE)["metadata"]


def _layers_of(dictionary: Dictionary) -> list[HiddenLayer]:
    layers = dictionary.layers if isinstance(dictionary, MlpDictionary) else []
    return [layer for layer in layers if isinstance(layer, HiddenLayer)]


def _tensors_of(dictionary: Dictionary) -> dict[str, Tensor]:
    """The tensors by their names in the file; encoder matrices are stored input side first, as SAELens does."""
    named = {"b_dec": dictionary.offset}
    if dictionary.config.kind != "identity":
        named["W_dec"] = dictionary.directions
    if isinstance(dictionary, EncoderDictionary):
        named |= {"W_enc": dictionary.W_enc.T, "b_enc": dictionary.b_enc}
    for i, layer in enumerate(_layers_of(dictionary)):
        named |= {f"hidden.{i}.W": layer.W_hidden.T, f"hidden.{i}.b": layer.b_hidden}
    return {name: tensor.detach().to("cpu", torch.float32).contiguous() for name, tensor in named.items()}


@torch.no_grad()
def _fill(dictionary: Dictionary, tensors: Mapping[str, Tensor]) -> None:
    """Copy the file's tensors into a dictionary of the same shapes: the inverse of `_tensors_of`."""
    if dictionary.config.kind == "identity":
        return
    dictionary.directions.copy_(tensors["W_dec"])
    dictionary.offset.copy_(tensors["b_dec"])
    if isinstance(dictionary, EncoderDictionary):
        dictionary.W_enc.copy_(tensors["W_enc"].T)
        dictionary.b_enc.copy_(tensors["b_enc"])
    for i, layer in enumerate(_layers_of(dictionary)):
        layer.W_hidden.copy_(tensors[f"hidden.{i}.W"].T)
        layer.b_hidden.copy_(tensors[f"hidden.{i}.b"])


def _cfg_of(dictionary: Dictionary, metadata: Mapping[str, Any]) -> dict[str, Any]:
    own: dict[str, Any] = {"config": asdict(dictionary.config)}
    if isinstance(dictionary, TrainableDictionary):
        own["input_scale"] = float(dictionary.input_scale)
    architecture = ARCHITECTURES[dictionary.config.kind]
    cfg = {
        "architecture": architecture,
        "d_in": dictionary.d_in,
        "d_sae": dictionary.n_features,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": True,
        "normalize_activations": "none",
        "reshape_activations": "none",
        "metadata": {**metadata, "sae_lens_version": saelens.LAYOUT_VERSION, "sae_core": own},
    }
    if architecture == "topk":
        cfg |= {"k": dictionary.config.k, "rescale_acts_by_decoder_norm": False}
    return cfg


def _read_cfg(path: Path) -> dict[str, Any]:
    try:
        cfg = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DictionaryFormatError(
            f"{path}: cannot be read ({error.strerror}); give a directory with {CONFIG_FILE} and {WEIGHTS_FILE}"
        ) from error
    except ValueError as error:
        raise DictionaryFormatError(
            f"{path}: not valid JSON ({error}); save or download the dictionary again"
        ) from error
    if not isinstance(cfg, dict):
        raise DictionaryFormatError(f"{path}: holds no object; save or download the dictionary again")
    for key in ("d_in", "d_sae", "k") if cfg.get("architecture") == "topk" else ("d_in", "d_sae"):
        if not isinstance(cfg.get(key), int) or cfg[key] < 1:
            raise DictionaryFormatError(f"{path}: {key} = {cfg.get(key)!r}, must be a whole number of at least 1")
    architecture = cfg.get("architecture")
    if architecture not in ARCHITECTURES.values():
        known = ", ".join(ARCHITECTURES.values())
        raise DictionaryFormatError(f"{path}: architecture = {architecture!r} cannot be read; known ones: {known}")
    if not isinstance(cfg.setdefault("metadata", {}), dict):
        raise DictionaryFormatError(f"{path}: metadata must be an object")
    return cfg


def _config_of(cfg: dict[str, Any], own: object, path: Path) -> DictionaryConfig:
    """The configuration: our own where the file carries it, else what SAELens' keys say."""
    kind = next(kind for kind, name in ARCHITECTURES.items() if name == cfg["architecture"])
    fields: dict[str, Any] = {"n_features": cfg["d_sae"]}
    if kind == "topk":
        fields["k"] = cfg["k"]
    try:
        if isinstance(own, dict):
            fields = {**own["config"], **fields}
            fields["hidden"] = tuple(fields["hidden"])
        elif kind == "mlp":
            raise KeyError("metadata.sae_core")
        return DictionaryConfig(**{**fields, "kind": kind})
    except (KeyError, TypeError, ValueError) as error:
        raise DictionaryFormatError(
            f"{path}: does not describe a {cfg['architecture']} dictionary ({error}); save or download it again"
        ) from error


def _read_tensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except FileNotFoundError as error:
        raise DictionaryFormatError(
            f"{path}: missing; give a directory with {CONFIG_FILE} and {WEIGHTS_FILE}"
        ) from error
    except (SafetensorError, OSError, ValueError) as error:
        raise DictionaryFormatError(
            f"{path}: not a whole safetensors file ({error}); save or download the dictionary again"
        ) from error


def _check(tensors: Mapping[str, Tensor], wanted: Mapping[str, Tensor], path: Path) -> None:
    for name, expected in wanted.items():
        if name not in tensors:
            raise DictionaryFormatError(f"{path}: tensor {name} is missing (found: {', '.join(sorted(tensors))})")
        shape, right = tuple(tensors[name].shape), tuple(expected.shape)
        if shape != right:
            hint = "; it looks transposed" if shape == right[::-1] else ""
            raise DictionaryFormatError(f"{path}: {name} has shape {shape}, {CONFIG_FILE} asks for {right}{hint}")
        if not bool(tensors[name].isfinite().all()):
            raise DictionaryFormatError(f"{path}: {name} holds values that are not finite; train or download it again")


def _check_norms(tensors: Mapping[str, Tensor], path: Path) -> None:
    if "W_dec" not in tensors:
        return
    norms = tensors["W_dec"].norm(dim=1)
    worst = int((norms - 1).abs().argmax())
    if abs(float(norms[worst]) - 1) > UNIT_NORM_TOLERANCE:
        raise DictionaryFormatError(
            f"{path}: decoder direction of feature {worst} has norm {float(norms[worst]):.4g}, must be 1; "
            "normalise W_dec per feature (row) and scale the encoder to match"
        )
