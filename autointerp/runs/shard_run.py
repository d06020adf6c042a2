"""Beginning or continuing a shard, which writes its own folder only; its manifest records the evidence."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from autointerp.config.tree import Config
from autointerp.errors import ArtefactError, ConfigError
from autointerp.runs.layout import RunLayout
from autointerp.runs.manifest import Manifest, begin_manifest, read_manifest, refuse_changes

__all__ = ["evidence_hashes", "open_shard", "require_same_evidence"]


def open_shard(layout: RunLayout, config: Config) -> Manifest:
    """Manifest of a shard.

    Raises ConfigError for an unharvested run or another config, ArtefactError for changed evidence.
    """
    whole = RunLayout(layout.root)
    if not whole.is_run() or "harvest" not in read_manifest(whole)["stages"]:
        raise ConfigError(
            f"--shard {layout.shard}: {layout.root} holds no finished harvest, which all shards share; run "
            f"`autointerp harvest CONFIG --out {layout.root}` once, then start the shards"
        )
    refuse_changes(whole, config)
    evidence = evidence_hashes(whole, config)
    if not layout.is_run():
        return begin_manifest(layout, config, shard=str(layout.shard), evidence=evidence)
    manifest = Manifest(layout, read_manifest(layout))
    require_same_evidence(manifest.noted("evidence"), evidence, layout.manifest.parent, whole.root)
    return manifest


def evidence_hashes(layout: RunLayout, config: Config) -> dict[str, str]:
    """Hash per dictionary. Raises ArtefactError for a missing file."""
    return {entry.name: _hash(layout.evidence_file(entry.name)) for entry in config.every_dictionary}


def require_same_evidence(shard: Mapping[str, str], run: Mapping[str, str], place: Path, root: Path) -> None:
    """Raise ArtefactError when the shard in `place` used other evidence than the run in `root`."""
    differing = [name for name, digest in run.items() if shard.get(name) != digest]
    if differing:
        raise ArtefactError(
            f"{place} worked on other evidence than {root} holds (dictionaries: {', '.join(differing)}), as after "
            f"another harvest; delete {place} and run the shard again on the evidence of {root}"
        )


def _hash(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
    except OSError as error:
        raise ArtefactError(f"cannot read {path} ({error.strerror}); run the harvest stage of this run first") from None
