"""A run that begins with other tools' evidence (delphi, Neuronpedia, SAEDashboard): explained and scored without a
model.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from autointerp.config.dictionary_entry import EVIDENCE_KIND
from autointerp.config.loading import parse_config
from autointerp.config.tree import Config
from autointerp.errors import ConfigError, InputError
from autointerp.harvest.imported.delphi import DelphiCache, find_caches
from autointerp.harvest.imported.kept import Imported
from autointerp.harvest.imported.neuronpedia import Export, find_exports
from autointerp.progress import Progress
from autointerp.records.evidence_file import write_evidence
from autointerp.runs.digests import finish_stage
from autointerp.runs.layout import RunLayout
from autointerp.runs.lock import RunLock
from autointerp.runs.manifest import open_run
from autointerp.score.presets import apply_preset
from autointerp.stages.harvest import needs_of
from autointerp.subject.loading import load_tokenizer, locate_model

__all__ = ["FORMATS", "import_evidence"]

FORMATS = ("auto", "delphi", "neuronpedia")

_NOT_OF_A_NAME = re.compile(r"[^a-z0-9_-]+")


def import_evidence(
    source: Path,
    *,
    out: Path,
    format: str = "auto",
    tokenizer: str | None = None,
    overrides: Iterable[str] = (),
    progress: Progress,
) -> list[Imported]:
    """Make the run `out` of the evidence in `source`; returns what was read, by dictionary.

    `overrides` are keys of the config, such as [harvest] and `corpus.evidence_tokens`. Raises InputError where nothing
    is found or a file is damaged, ConfigError where `out` exists.
    """
    if format not in FORMATS:
        raise ConfigError(f"--format {format}: no such format; use one of {', '.join(FORMATS)}")
    if not source.exists():
        raise InputError(f"{source} does not exist; give a folder of delphi's latents or an activation export")
    layout = RunLayout(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"--out {out} exists and is not empty; give a new directory")
    overrides = list(overrides)
    draft = parse_config(_tree(out, source, ["draft"], None, None, 1), overrides)
    sources = _find(source, format, max_mb=draft.corpus.max_file_mb)
    names = _names(sources)
    cap = draft.corpus.evidence_tokens if any(o.startswith("corpus.evidence_tokens") for o in overrides) else None
    imported = []
    for name, each in zip(names, sources, strict=True):
        with progress.bar(f"read {name}"):
            imported.append(_read(name, each, draft, tokenizer=tokenizer, max_tokens=cap))
    model = next((each.model for each in imported if each.model), None)
    corpus = next((each.corpus for each in imported if each.corpus), None)
    n_tokens = max(each.n_tokens for each in imported)
    tree = _tree(out, source, names, model, corpus, n_tokens)
    _write(layout, parse_config(tree, [o for o in overrides if cap is None or "evidence_tokens" not in o]), imported)
    return imported


def _find(source: Path, format: str, *, max_mb: int) -> Sequence[DelphiCache | Export]:
    caches = find_caches(source) if format in ("auto", "delphi") and source.is_dir() else []
    sources: Sequence[DelphiCache | Export] = caches
    if not caches and format in ("auto", "neuronpedia"):
        sources = find_exports(source, max_mb=max_mb)
    if not sources:
        wanted = {
            "delphi": "files START_END.safetensors of delphi's latents",
            "neuronpedia": "JSON of activations with tokens and values",
        }
        raise InputError(f"{source}: there are no {' and no '.join(wanted.get(format, w) for w in wanted.values())}")
    return sources


def _read(
    name: str, found: DelphiCache | Export, config: Config, *, tokenizer: str | None, max_tokens: int | None
) -> Imported:
    config = apply_preset(config)
    settings, needs, seed = config.harvest, needs_of(config), config.seed
    if isinstance(found, Export):
        return found.read(name, settings, seed=seed, needs=needs)
    wanted = tokenizer or found.model
    if wanted is None:
        raise InputError(f"{found.folder} does not say which model was cached; give its tokenizer: --tokenizer NAME")
    location = wanted if Path(wanted).is_dir() else locate_model(wanted)
    loaded = load_tokenizer(location, name=wanted)
    return found.read(name, settings, tokenizer=loaded, max_tokens=max_tokens, seed=seed, needs=needs)


def _names(found: Sequence[DelphiCache | Export]) -> list[str]:
    """A valid name for each dictionary."""
    names: list[str] = []
    for each in found:
        said = each.folder.name if isinstance(each, DelphiCache) else each.layer
        name = _NOT_OF_A_NAME.sub("-", said.lower()).strip("-_") or "features"
        names.append(name if name not in names else f"{name}-{len(names) + 1}")
    return names


def _tree(
    out: Path, source: Path, names: Sequence[str], model: str | None, corpus: str | None, n_tokens: int
) -> dict[str, Any]:
    return {
        "name": re.sub(r"[^A-Za-z0-9._-]+", "-", out.name).lstrip("._-") or "run",
        "subject": {"model": model or "unknown"},
        "corpus": {"path": corpus or "unknown", "evidence_tokens": max(1, n_tokens)},
        "dictionaries": [{"name": name, "kind": EVIDENCE_KIND, "path": str(source)} for name in names],
    }


def _write(layout: RunLayout, config: Config, imported: Sequence[Imported]) -> None:
    layout.root.mkdir(parents=True, exist_ok=True)
    with RunLock(layout.lock):
        manifest = open_run(layout, config)
        for each in imported:
            notes = {"lacks": "; ".join(each.lacks)}
            write_evidence(layout.evidence_file(each.name), each.evidence, notes=notes)
        facts: Mapping[str, Any] = {
            "imported": {each.name: list(each.lacks) for each in imported},
            "n_features": {each.name: len(each.evidence) for each in imported},
        }
        names = [each.name for each in imported]
        finish_stage(manifest, layout, "train", {"imported": True}, dictionaries=names)
        finish_stage(manifest, layout, "harvest", facts, dictionaries=names)
