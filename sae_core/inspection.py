"""Facts about a saved dictionary, without activations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sae_core.checkpoint import CONFIG_FILE, OWN_KEY, is_own, load_own, read_metadata
from sae_core.description import kind_of
from sae_core.dictionary import Dictionary
from sae_core.foreign.facts import row_facts, spread
from sae_core.foreign.files import read_json
from sae_core.foreign.imported import Imported
from sae_core.foreign.reading import read_foreign

__all__ = ["OWN_FORMAT", "inspect_dictionary", "open_dictionary"]

OWN_FORMAT = "autointerp"


def open_dictionary(path: Path | str, *, format: str = "auto") -> Imported:
    """The dictionary at `path` and its facts, in our own or another tool's format. Raises DictionaryFormatError."""
    folder = Path(path)
    if format != "auto" or not is_own(folder):
        return read_foreign(folder, format=format)
    dictionary = load_own(folder).eval().requires_grad_(False)
    metadata = read_metadata(folder)
    del metadata[OWN_KEY]
    return Imported(
        dictionary=dictionary,
        format=OWN_FORMAT,
        architecture=str(read_json(folder / CONFIG_FILE)["architecture"]),
        facts=_own_facts(dictionary),
        metadata=metadata,
    )


def inspect_dictionary(path: Path | str, *, format: str = "auto") -> dict[str, Any]:
    """JSON-ready facts about the dictionary at `path`, numbers as in the file. Raises DictionaryFormatError."""
    opened = open_dictionary(path, format=format)
    dictionary = opened.dictionary
    d_out = dictionary.directions.shape[1]
    return {
        "path": str(path),
        "format": opened.format,
        "architecture": opened.architecture,
        "kind": kind_of(dictionary),
        "d_in": dictionary.d_in,
        **({"d_out": d_out} if d_out != dictionary.d_in else {}),
        "n_features": dictionary.n_features,
        **opened.facts,
        **row_facts(dictionary),
        "metadata": opened.metadata,
        "notes": list(opened.notes),
    }


def _own_facts(dictionary: Dictionary) -> dict[str, Any]:
    config = dictionary.config
    facts: dict[str, Any] = {"decoder_norm": spread(dictionary.directions.double().norm(dim=1))}
    if config.is_topk:
        facts["k"] = config.k
    state = dictionary.state_dict()
    if "log_threshold" in state:
        facts["threshold"] = spread(state["log_threshold"].double().exp())
    elif "threshold" in state:
        is_learned = bool((state["threshold"] >= 0).all())
        facts["threshold"] = spread(state["threshold"].double()) if is_learned else "not set"
    if config.prefixes:
        facts["prefixes"] = list(config.prefixes)
    return facts
