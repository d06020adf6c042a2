"""Dictionaries on disk, in the layout of SAELens 6, without loss; kinds that SAELens lacks keep their own tensor
names."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from sae_core.atomic import replace_file
from sae_core.description import describe, least_values, rebuild
from sae_core.dictionary import Dictionary
from sae_core.errors import DictionaryFormatError
from sae_core.foreign import saelens_layout
from sae_core.foreign.files import read_json, read_safetensors
from sae_core.foreign.reading import read_foreign
from sae_core.foreign.settings import Settings
from sae_core.foreign.tensor_file import TensorFile

__all__ = ["CONFIG_FILE", "WEIGHTS_FILE", "is_own", "load_dictionary", "load_own", "read_metadata", "save_dictionary"]

CONFIG_FILE = "cfg.json"
WEIGHTS_FILE = "sae_weights.safetensors"

OWN_PREFIX = "sae_core."

OWN_KEY = "sae_core"
"""Key of our own description in `metadata`."""

HASH_KEY = "sha256"

UNIT_NORM_TOLERANCE = 1e-3


def save_dictionary(
    dictionary: Dictionary, directory: Path | str, *, metadata: Mapping[str, Any] | None = None
) -> Path:
    """Write both files into `directory` (created if missing) and return it.

    `metadata` must be JSON-ready. `cfg.json` is moved into place last: a directory with one is complete.
    """
    folder = Path(directory)
    own = describe(dictionary)
    architecture = _architecture(own)
    if architecture.startswith(OWN_PREFIX):
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in dictionary.state_dict().items()}
    else:
        tensors, rest = saelens_layout.to_layout(dictionary)
        own["state"] = {name: tensor.tolist() for name, tensor in rest.items()}
    weights = save(_unshared(tensors))
    own[HASH_KEY] = _hash(own, io.BytesIO(weights))
    cfg = _layout(dictionary, architecture, metadata={**(metadata or {}), OWN_KEY: own})
    replace_file(folder / WEIGHTS_FILE, weights)
    replace_file(folder / CONFIG_FILE, (json.dumps(cfg, indent=2, sort_keys=True) + "\n").encode())
    return folder


def load_dictionary(path: Path | str, *, device: str | torch.device = "cpu") -> Dictionary:
    """The dictionary at `path`, ours or foreign, in float32 on `device`, in evaluation mode, without gradients.

    Raises DictionaryFormatError, naming path and fix, for a file missing or truncated, an unknown architecture, a
    tensor missing, misshapen or not finite, a direction not of norm 1, or a changed directory of ours.
    """
    folder = Path(path)
    dictionary = load_own(folder) if is_own(folder) or not folder.exists() else read_foreign(folder).dictionary
    return dictionary.to(device).eval().requires_grad_(False)


def is_own(path: Path | str) -> bool:
    """Whether `save_dictionary` wrote `path`. Raises DictionaryFormatError."""
    config = Path(path) / CONFIG_FILE
    if not config.exists():
        return False
    metadata = read_json(config).get("metadata")
    return isinstance(metadata, dict) and OWN_KEY in metadata


def load_own(folder: Path) -> Dictionary:
    """A dictionary that `save_dictionary` wrote. Raises DictionaryFormatError."""
    path, weights = folder / CONFIG_FILE, folder / WEIGHTS_FILE
    settings = Settings(path, read_json(path))
    own = Settings(path, settings.mapping("metadata")).mapping(OWN_KEY)
    file = TensorFile(weights, read_safetensors(weights), sizes_from=CONFIG_FILE)
    dictionary = _rebuild(settings, own, n_held=sum(tensor.numel() for tensor in file.tensors.values()))
    architecture = _architecture(own)
    if settings.get("architecture") != architecture:
        stated = settings.get("architecture")
        raise DictionaryFormatError(f"{path}: architecture = {stated!r} is not the one described; save it again")
    if architecture.startswith(OWN_PREFIX):
        wanted = dictionary.state_dict()
        tensors = {name: file.take_as(name, tensor.dtype, *tensor.shape) for name, tensor in wanted.items()}
    else:
        tensors = _from_layout(dictionary, file, own.get("state"), path)
    file.finish(f"a {architecture} dictionary")
    dictionary.load_state_dict(tensors)
    _check_norms(dictionary.directions.detach(), weights)
    _check_unchanged(settings, dictionary, own, weights)
    return dictionary


def _rebuild(settings: Settings, own: Mapping[str, Any], *, n_held: int) -> Dictionary:
    """The empty dictionary as described, refused if the file's `n_held` values cannot fill it."""
    d_in = settings.count("d_in")
    settings.count("d_sae")
    try:
        n_needed = least_values(own, d_in=d_in)
        if n_needed > n_held:
            raise DictionaryFormatError(
                f"{settings.path}: the sizes it states need {n_needed:,} weights, the file beside it holds {n_held:,}; "
                "save or download the dictionary again"
            )
        dictionary = rebuild(own, d_in=d_in)
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError, OverflowError) as error:
        reason = str(error).partition("\n")[0][:200]
        raise DictionaryFormatError(
            f"{settings.path}: metadata.{OWN_KEY} does not describe a dictionary ({reason}); save or download it again"
        ) from error
    if dictionary.n_features != settings.get("d_sae"):
        raise DictionaryFormatError(
            f"{settings.path}: d_sae = {settings.get('d_sae')}, but metadata.{OWN_KEY} has {dictionary.n_features} "
            "features; save or download the dictionary again"
        )
    return dictionary


def _check_unchanged(settings: Settings, dictionary: Dictionary, own: Mapping[str, Any], weights: Path) -> None:
    stated = own.get(HASH_KEY)  # none before there were hashes
    if stated is not None:
        with weights.open("rb") as file:
            digest = _hash(own, file)
        if digest != stated:
            raise DictionaryFormatError(
                f"{weights}: changed or damaged since it was saved (its hash with metadata.{OWN_KEY} is not the one "
                f"in {CONFIG_FILE}); save or download the dictionary again"
            )
    layout = _layout(dictionary, _architecture(own), metadata={})
    settings.only(layout)
    for key, value in layout.items():
        if key != "metadata" and settings.get(key) not in (None, value):
            raise DictionaryFormatError(
                f"{settings.path}: {key} = {str(settings.get(key))[:80]}, but metadata.{OWN_KEY} describes {value}; "
                "save or download the dictionary again"
            )


def read_metadata(directory: Path | str) -> dict[str, Any]:
    """The `metadata` of a saved dictionary. Raises DictionaryFormatError."""
    path = Path(directory) / CONFIG_FILE
    return Settings(path, read_json(path)).mapping("metadata")


def _architecture(own: Mapping[str, Any]) -> str:
    if "family" in own:
        return OWN_PREFIX + str(own["family"])
    kind = str(own["config"]["kind"])
    return saelens_layout.ARCHITECTURES.get(kind, OWN_PREFIX + kind)


def _layout(dictionary: Dictionary, architecture: str, *, metadata: Mapping[str, Any]) -> dict[str, Any]:
    cfg = saelens_layout.base_cfg(
        architecture=architecture, d_in=dictionary.d_in, d_sae=dictionary.n_features, metadata=metadata
    )
    if not architecture.startswith(OWN_PREFIX):
        return cfg | saelens_layout.kind_cfg(dictionary.config)
    del cfg["apply_b_dec_to_input"]
    return cfg


def _hash(own: Mapping[str, Any], weights: io.BufferedIOBase) -> str:
    described = json.dumps({key: value for key, value in own.items() if key != HASH_KEY}, sort_keys=True)
    digest = hashlib.sha256(described.encode())
    return hashlib.file_digest(weights, lambda: digest).hexdigest()


def _from_layout(dictionary: Dictionary, file: TensorFile, state: object, path: Path) -> dict[str, Tensor]:
    wanted = dictionary.state_dict()
    shapes, _ = saelens_layout.to_layout(dictionary)
    held = {name: file.take_as(name, tensor.dtype, *tensor.shape) for name, tensor in shapes.items()}
    tensors = saelens_layout.from_layout(held, wanted)
    for name, expected in wanted.items():
        if name in tensors:
            continue
        value = state.get(name) if isinstance(state, dict) else None
        try:
            tensors[name] = torch.tensor(value, dtype=expected.dtype).reshape(expected.shape)
        except (TypeError, ValueError, RuntimeError) as error:
            raise DictionaryFormatError(
                f"{path}: metadata.{OWN_KEY}.state.{name} = {str(value)[:60]} does not fit; save it again"
            ) from error
    return tensors


def _unshared(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    seen: set[int] = set()
    plain = {}
    for name, tensor in tensors.items():
        address = tensor.untyped_storage().data_ptr()
        plain[name] = tensor.clone() if address in seen else tensor  # safetensors refuses shared memory
        seen.add(address)
    return plain


def _check_norms(directions: Tensor, path: Path) -> None:
    norms = directions.norm(dim=1)
    worst = int((norms - 1).abs().argmax())
    if abs(float(norms[worst]) - 1) > UNIT_NORM_TOLERANCE:
        raise DictionaryFormatError(
            f"{path}: decoder direction of feature {worst} has norm {float(norms[worst]):.4g}, must be 1; "
            "normalise W_dec per feature (row) and scale the encoder to match"
        )
