"""Detection of the tool that saved a dictionary, and reading it."""

from __future__ import annotations

import difflib
import zipfile
from pathlib import Path

from sae_core.errors import DictionaryFormatError
from sae_core.foreign import (
    circuit_tracer,
    dictionary_learning,
    gemma_scope,
    gemma_scope_2,
    goodfire,
    llama_scope,
    openai,
    qwen_scope,
    saelens,
    sparsify,
)
from sae_core.foreign.files import read_json, read_torch, require_regular, safetensors_shapes
from sae_core.foreign.imported import Imported, Reader

__all__ = ["FORMATS", "detect_format", "read_foreign"]

FORMATS: dict[str, Reader] = {
    "saelens": saelens.read_saelens,
    "sparsify": sparsify.read_sparsify,
    "dictionary_learning": dictionary_learning.read_dictionary_learning,
    "gemma_scope": gemma_scope.read_gemma_scope,
    "openai": openai.read_openai,
    "gemma_scope_2": gemma_scope_2.read_gemma_scope_2,
    "llama_scope": llama_scope.read_llama_scope,
    "qwen_scope": qwen_scope.read_qwen_scope,
    "goodfire": goodfire.read_goodfire,
    "circuit_tracer": circuit_tracer.read_circuit_tracer,
}

SIGNS = (
    ("saelens", saelens.WEIGHTS_FILE),
    ("sparsify", sparsify.WEIGHTS_FILE),
    ("dictionary_learning", dictionary_learning.WEIGHTS_FILE),
    ("gemma_scope", gemma_scope.WEIGHTS_FILE),
    ("gemma_scope_2", gemma_scope_2.WEIGHTS_FILE),
    ("llama_scope", llama_scope.HYPERPARAMETERS_FILE),
)

ONE_A_LAYER = ("layer_*.safetensors", "W_enc_*.safetensors", "params_layer_*.safetensors", "layer*.sae.pt")
"""Files of which a directory holds one for every layer, each a dictionary."""

OF_TORCH = (
    ("openai", openai.is_openai),
    ("goodfire", goodfire.is_goodfire),
    ("qwen_scope", qwen_scope.is_qwen_scope),
    ("dictionary_learning", dictionary_learning.is_dictionary_learning),
)
"""Formats of a torch file with the question whether its content is theirs, in the order asked."""


def read_foreign(path: Path | str, *, format: str = "auto") -> Imported:
    """The dictionary at `path`, in one of FORMATS. Raises DictionaryFormatError."""
    place = Path(path)
    if format != "auto" and format not in FORMATS:
        near = difflib.get_close_matches(format, FORMATS, n=1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        raise DictionaryFormatError(f"format = {format!r}: must be auto, {', '.join(FORMATS)}{hint}")
    if not place.exists():
        raise DictionaryFormatError(f"{place}: missing; give the directory or file of a saved dictionary")
    require_regular(place)
    name = detect_format(place) if format == "auto" else format
    return FORMATS[name](_place_for(name, place))


def detect_format(path: Path) -> str:
    """Name of the format at `path`. Raises DictionaryFormatError for none."""
    if path.is_dir():
        return _of_directory(path)
    if path.suffix == ".safetensors":
        return _of_safetensors(path)
    if path.name in (saelens.CONFIG_FILE, llama_scope.HYPERPARAMETERS_FILE):
        return _of_directory(path.parent)
    if _is_npz(path):
        return "gemma_scope"
    content = read_torch(path)
    for name, is_of in OF_TORCH:
        if is_of(content):
            return name
    keys = ", ".join(sorted(map(str, content))[:8])
    raise DictionaryFormatError(
        f"{path}: not a dictionary of a known format (it holds {keys}); known ones: {', '.join(FORMATS)}"
    )


def _of_safetensors(path: Path) -> str:
    if path.name == gemma_scope_2.WEIGHTS_FILE or "w_enc" in _tensor_names(path):
        return "gemma_scope_2"
    if circuit_tracer.LAYER_FILE.fullmatch(path.name) or circuit_tracer.CROSS_LAYER_FILE.fullmatch(path.name):
        return "circuit_tracer"
    return _of_directory(path.parent)


def _of_directory(folder: Path) -> str:
    if (folder / "cfg.json").exists():
        return _of_config(folder)
    if (folder / llama_scope.LATER_CONFIG_FILE).exists() and "encoder.weight" in _tensor_names(
        folder / llama_scope.LATER_WEIGHTS_FILE
    ):
        return "llama_scope"
    for name, file in SIGNS:
        if (folder / file).exists():
            return name
    inside = _dictionaries_inside(folder)
    if inside:
        raise DictionaryFormatError(f"{folder}: holds {len(inside)} dictionaries; give one of them, as in {inside[0]}")
    raise DictionaryFormatError(
        f"{folder}: holds no dictionary (none of {', '.join(file for _, file in SIGNS)}); give the directory of one"
    )


def _of_config(folder: Path) -> str:
    for name, file, key in (
        ("saelens", saelens.WEIGHTS_FILE, "W_dec"),
        ("sparsify", sparsify.WEIGHTS_FILE, "encoder.weight"),
    ):
        if (folder / file).is_file() and key in (_tensor_names(folder / file) or {key}):
            return name
    cfg = read_json(folder / "cfg.json")
    return "sparsify" if "expansion_factor" in cfg and "architecture" not in cfg else "saelens"


def _tensor_names(path: Path) -> set[str]:
    """Empty for a file that cannot be read: its reader will say what is wrong with it."""
    try:
        return set(safetensors_shapes(path))
    except DictionaryFormatError:
        return set()


def _dictionaries_inside(folder: Path) -> list[Path]:
    layers = sorted(path for pattern in ONE_A_LAYER for path in folder.glob(pattern))
    if layers:
        return layers
    signs = {file for _, file in SIGNS}
    weights = (path for pattern in ("*/*", "*/*/*", "*/*/*/*") for path in folder.glob(pattern) if path.name in signs)
    return sorted({path.parent for path in weights})


def _is_npz(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return path.suffix == ".npz"
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith(".npy") for name in archive.namelist())


def _place_for(name: str, path: Path) -> Path:
    return path.parent if name in ("saelens", "sparsify", "llama_scope") and path.is_file() else path
