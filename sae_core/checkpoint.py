"""Dictionaries on disk, in the layout of SAELens 6: `cfg.json` beside `sae_weights.safetensors`.

Kinds whose architecture exists in SAELens are readable by SAELens itself; the others use the same two file names with
their own tensors by name. Everything comes back bit for bit. What `load_dictionary` finds to be another tool's goes to
the readers under foreign. Takes a dictionary and a directory; knows neither families nor runs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from sae_core.atomic import replace_file
from sae_core.config import DictionaryKind
from sae_core.description import describe, rebuild
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
"""What the names of architectures begin with that SAELens does not have."""

OWN_KEY = "sae_core"
"""The key of `metadata` under which our own description stands."""

UNIT_NORM_TOLERANCE = 1e-3


def save_dictionary(
    dictionary: Dictionary, directory: Path | str, *, metadata: Mapping[str, Any] | None = None
) -> Path:
    """Write the two files into `directory` (made where missing) and return it.

    `metadata` (JSON-ready: model_name, hook_name, ...) joins the file's own. Each file is written under a temporary
    name and moved into place, the configuration last, so that a directory with a `cfg.json` is complete.
    """
    folder = Path(directory)
    own = describe(dictionary)
    kind: DictionaryKind | None = None if "family" in own else dictionary.config.kind
    architecture = saelens_layout.ARCHITECTURES.get(kind) if kind else None
    if architecture is None:
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in dictionary.state_dict().items()}
        architecture = OWN_PREFIX + (kind or own["family"])
        further: dict[str, Any] = {"apply_b_dec_to_input": None}
    else:
        tensors, rest = saelens_layout.to_layout(dictionary)
        own["state"] = {name: tensor.tolist() for name, tensor in rest.items()}
        further = saelens_layout.kind_cfg(dictionary.config)
    cfg = saelens_layout.base_cfg(
        architecture=architecture,
        d_in=dictionary.d_in,
        d_sae=dictionary.n_features,
        metadata={**(metadata or {}), OWN_KEY: own},
    )
    cfg = {key: value for key, value in (cfg | further).items() if value is not None}
    replace_file(folder / WEIGHTS_FILE, save(_unshared(tensors)))
    replace_file(folder / CONFIG_FILE, (json.dumps(cfg, indent=2, sort_keys=True) + "\n").encode())
    return folder


def load_dictionary(path: Path | str, *, device: str | torch.device = "cpu") -> Dictionary:
    """The dictionary at `path` (a directory of ours, or any of the foreign formats), in float32 on `device`, in
    evaluation mode and without gradients.

    Raises DictionaryFormatError, naming the path and the fix, when a file is missing or truncated, the architecture is
    unknown, a tensor is missing, of the wrong shape or not finite, or a decoder direction has not norm 1.
    """
    folder = Path(path)
    dictionary = load_own(folder) if is_own(folder) or not folder.exists() else read_foreign(folder).dictionary
    return dictionary.to(device).eval().requires_grad_(False)


def is_own(path: Path | str) -> bool:
    """Whether `path` is a directory that `save_dictionary` wrote. Raises DictionaryFormatError."""
    config = Path(path) / CONFIG_FILE
    if not config.exists():
        return False
    metadata = read_json(config).get("metadata")
    return isinstance(metadata, dict) and OWN_KEY in metadata


def load_own(folder: Path) -> Dictionary:
    """A dictionary that `save_dictionary` wrote. Raises DictionaryFormatError."""
    path = folder / CONFIG_FILE
    settings = Settings(path, read_json(path))
    d_in = settings.count("d_in")
    settings.count("d_sae")
    own = Settings(path, settings.mapping("metadata")).mapping(OWN_KEY)
    try:
        dictionary = rebuild(own, d_in=d_in)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        reason = str(error).partition("\n")[0]
        raise DictionaryFormatError(
            f"{path}: metadata.{OWN_KEY} does not describe a dictionary ({reason}); save or download it again"
        ) from error
    if dictionary.n_features != settings.get("d_sae"):
        raise DictionaryFormatError(
            f"{path}: d_sae = {settings.get('d_sae')}, but metadata.{OWN_KEY} has {dictionary.n_features} features; "
            "save or download the dictionary again"
        )
    weights = folder / WEIGHTS_FILE
    file = TensorFile(weights, read_safetensors(weights), sizes_from=CONFIG_FILE)
    architecture = settings.get("architecture")
    if isinstance(architecture, str) and architecture.startswith(OWN_PREFIX):
        wanted = dictionary.state_dict()
        tensors = {name: file.take_as(name, tensor.dtype, *tensor.shape) for name, tensor in wanted.items()}
    elif architecture == saelens_layout.ARCHITECTURES.get(dictionary.config.kind):
        tensors = _from_layout(dictionary, file, own.get("state"), path)
    else:
        raise DictionaryFormatError(f"{path}: architecture = {architecture!r} is not the one described; save it again")
    file.finish(f"a {architecture} dictionary")
    dictionary.load_state_dict(tensors)
    _check_norms(dictionary.directions.detach(), weights)
    return dictionary


def read_metadata(directory: Path | str) -> dict[str, Any]:
    """The `metadata` of a saved dictionary. Raises DictionaryFormatError."""
    path = Path(directory) / CONFIG_FILE
    return Settings(path, read_json(path)).mapping("metadata")


def _from_layout(dictionary: Dictionary, file: TensorFile, state: object, path: Path) -> dict[str, Tensor]:
    """The state of a dictionary from SAELens' tensors and what the configuration keeps beside them."""
    wanted = dictionary.state_dict()
    shapes, _ = saelens_layout.to_layout(dictionary)
    found = {name: file.take_as(name, tensor.dtype, *tensor.shape) for name, tensor in shapes.items()}
    tensors = saelens_layout.from_layout(found, wanted)
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
    """The same tensors, none of which shares memory with another (safetensors refuses those)."""
    seen: set[int] = set()
    plain = {}
    for name, tensor in tensors.items():
        address = tensor.untyped_storage().data_ptr()
        plain[name] = tensor.clone() if address in seen else tensor
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
