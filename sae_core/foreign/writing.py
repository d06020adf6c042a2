"""Writing dictionaries for other tools."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import save

from sae_core.atomic import replace_file
from sae_core.dictionary import Dictionary
from sae_core.errors import DictionaryExportError
from sae_core.foreign import saelens, sparsify
from sae_core.foreign.saelens_export import saelens_files
from sae_core.foreign.sparsify_export import sparsify_files

__all__ = ["EXPORT_FORMATS", "export_dictionary"]

EXPORT_FORMATS = ("saelens", "sparsify")


def export_dictionary(
    dictionary: Dictionary, directory: Path | str, *, format: str, metadata: Mapping[str, Any] | None = None
) -> Path:
    """Write `dictionary` for another tool into `directory` (created if missing) and return it.

    Raises DictionaryExportError for what the format cannot express, DictionaryWriteError for a full disk.
    """
    folder = Path(directory)
    if format == "saelens":
        cfg, tensors = saelens_files(dictionary, metadata=metadata or {})
        config_file, weights_file = saelens.CONFIG_FILE, saelens.WEIGHTS_FILE
    elif format == "sparsify":
        cfg, tensors = sparsify_files(dictionary)
        config_file, weights_file = sparsify.CONFIG_FILE, sparsify.WEIGHTS_FILE
    else:
        near = difflib.get_close_matches(format, EXPORT_FORMATS, n=1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        raise DictionaryExportError(f"format = {format!r}: must be one of {', '.join(EXPORT_FORMATS)}{hint}")
    replace_file(folder / weights_file, save({name: tensor.detach().cpu() for name, tensor in tensors.items()}))
    replace_file(folder / config_file, (json.dumps(cfg, indent=2, sort_keys=True) + "\n").encode())
    return folder
