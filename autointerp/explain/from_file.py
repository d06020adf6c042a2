"""Explainer `from_file`: explanations by people or other tools, read once when the explainer is made."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np

from autointerp.config.asking import ExplainConfig
from autointerp.errors import ConfigError, InputError
from autointerp.explain.explainer import Explainer, Reading
from autointerp.explain.explanation_files import Explanations, read_explanation_file
from autointerp.explain.prompted import WindowlessSettings
from autointerp.records.evidence import Evidence

__all__ = ["FileExplainer", "FileSettings", "open_explainer"]


class FileSettings(WindowlessSettings):
    path: Path | None = None
    """The file or folder that explanations are taken from."""
    dictionary: str | None = None
    """The dictionary of this run that the explanations are about, if the file uses another name."""
    source: str | None = None
    """The file's name for that dictionary, if the file covers several."""


def open_explainer(settings: FileSettings, config: ExplainConfig) -> FileExplainer:
    """The explainer `from_file`. Raises ConfigError without a path, InputError for an unusable file."""
    return FileExplainer(settings, config)


class FileExplainer(Explainer):
    asks = "nobody"

    def __init__(self, settings: FileSettings, config: ExplainConfig) -> None:
        super().__init__(settings, config)
        if settings.path is None:
            raise ConfigError("explain.explainers: 'from_file' needs path, a file of explanations")
        self._texts = _assign(settings, read_explanation_file(settings.path))

    @property
    def prompt_hash(self) -> str:
        """Hash of the explanations."""
        ordered = sorted((name, sorted(texts.items())) for name, texts in self._texts.items())
        return hashlib.sha256(json.dumps(ordered).encode()).hexdigest()[:16]

    def explain(self, evidence: Evidence, rng: np.random.Generator) -> Reading:
        """The text about the feature, or `missing`."""
        text = self._texts.get(evidence.dictionary, {}).get(evidence.feature)
        return Reading(None, "missing") if text is None else Reading(text)


def _assign(settings: FileSettings, found: Explanations) -> dict[str, dict[int, str]]:
    """Texts by dictionary of the run."""
    names = sorted(name or "(none)" for name in found)
    if settings.dictionary is None:
        if None in found or settings.source is not None:
            why = "where source is set" if settings.source is not None else f"as {settings.path} does not name it"
            raise ConfigError(
                "explain.explainers: explainer 'from_file' needs dictionary, the name of the dictionary of this run "
                f"that the explanations are of, {why}"
            )
        return {name: texts for name, texts in found.items() if name is not None}
    wanted = settings.source or (settings.dictionary if settings.dictionary in found else None)
    if wanted is None and len(found) == 1:
        return {settings.dictionary: next(iter(found.values()))}
    if wanted not in found:
        raise InputError(
            f"{settings.path} holds explanations of {', '.join(names[:8])}; set source of explainer 'from_file' to "
            f"the one that is of dictionary '{settings.dictionary}'"
        )
    return {settings.dictionary: found[wanted]}
