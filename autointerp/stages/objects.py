"""What a run takes from memory in place of a file: dictionaries by entry, the model, the texts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from autointerp.config.tree import Config
from autointerp.errors import ConfigError
from autointerp.runs.layout import RunLayout
from autointerp.runs.manifest import Manifest
from autointerp.subject.held import IN_MEMORY, HeldModel, HeldTexts
from sae_core.adapter import fingerprint

__all__ = ["CORPUS", "MODEL", "Objects", "held_model", "held_texts", "keep_identity"]

Objects = Mapping[str, object]

MODEL, CORPUS = "subject.model", "corpus.path"
_NOTE = "objects"


def held_model(objects: Objects) -> HeldModel | None:
    model = objects.get(MODEL)
    return model if isinstance(model, HeldModel) else None


def held_texts(objects: Objects) -> HeldTexts | None:
    texts = objects.get(CORPUS)
    return texts if isinstance(texts, HeldTexts) else None


def keep_identity(manifest: Manifest, objects: Objects, config: Config, layout: RunLayout) -> None:
    """Note class and hash of every object in the manifest.

    Raises ConfigError where the run was begun with others, or the config does not say that they are in memory.
    """
    wanted = {entry.name for entry in config.dictionaries if entry.kind == "object"}
    wanted |= {MODEL} if config.subject.model.startswith(IN_MEMORY) else set()
    wanted |= {CORPUS} if config.corpus.path.startswith(IN_MEMORY) else set()
    stray = sorted(set(objects) - wanted)
    if stray:
        raise ConfigError(
            f"'{stray[0]}' is given in memory and the config names another: use kind = 'object' for dictionaries, "
            f"'{IN_MEMORY}NAME' for {MODEL} and {CORPUS}"
        )
    given = {name: _identity(value) for name, value in objects.items()}
    known = manifest.noted(_NOTE)
    changed = [name for name in known if given.get(name, known[name]) != known[name]]
    if changed:
        name = changed[0]
        raise ConfigError(
            f"run '{layout.root}' was made with another '{name}' ({_shown(known[name])}) than is given now "
            f"({_shown(given[name])}); choose another out, or begin anew with fresh=True"
        )
    if known | given != known:
        manifest.note(_NOTE, known | given)


def _identity(value: Any) -> dict[str, str]:
    if isinstance(value, HeldModel | HeldTexts):
        kind = type(value.model).__qualname__ if isinstance(value, HeldModel) else f"{len(value.texts)} texts"
        return {"class": kind, "sha256": value.sha256()}
    return {"class": type(value).__qualname__, "sha256": fingerprint(value)}


def _shown(identity: Mapping[str, str]) -> str:
    return f"{identity['class']}, {identity['sha256'][:12]}"
