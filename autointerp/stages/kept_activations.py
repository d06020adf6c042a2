"""Where the activations of a run lie on disk, and whether there is room for them."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path

import torch
from platformdirs import user_cache_path

from autointerp.config.sites import SitePoint
from autointerp.errors import ConfigError
from autointerp.harvest.passes import neuron_point
from autointerp.progress import Progress
from autointerp.runs.layout import RunLayout
from autointerp.stages.workbench import Workbench
from autointerp.subject.kept import KeptActivations
from autointerp.subject.model import Subject

__all__ = ["activations_folder", "evidence_subject", "forget_activations", "require_room"]


def activations_folder(bench: Workbench, layout: RunLayout) -> Path:
    train = bench.config.train
    if train.activations_dir is not None:
        return train.activations_dir.expanduser()
    if train.activations == "shared":
        return user_cache_path("autointerp", appauthor=False, opinion=False) / "activations"
    return layout.activations


def require_room(bench: Workbench, folders: Mapping[SitePoint, Path], n_tokens: int, progress: Progress) -> None:
    """Say how much is to be written where, before it is. What an interrupted writing left there counts as room.

    Raises ConfigError where the disk is too small.
    """
    named = ", ".join(map(str, folders))
    n_bytes = n_tokens * sum(map(bench.subject.width, folders)) * stored_dtype(bench).itemsize
    root = next(iter(folders.values())).parent.absolute()
    there = next(each for each in (root, *root.parents) if each.is_dir())
    left = (file.stat().st_size for folder in set(folders.values()) for file in folder.rglob("*") if file.is_file())
    n_free = shutil.disk_usage(there).free + sum(left)
    progress.say(f"activations of {named}: {_size(n_bytes)} in {root}, {_size(n_free)} free")
    if n_bytes > n_free:
        raise ConfigError(
            f"train.activations: those of {named} take {_size(n_bytes)}, and {there} has {_size(n_free)} free; lower "
            "corpus.dictionary_tokens and corpus.evidence_tokens, give train.activations_dir on a larger disk, or set "
            "train.activations = 'stream'"
        )


def evidence_subject(
    bench: Workbench, layout: RunLayout, points: Collection[SitePoint], progress: Progress
) -> Subject | KeptActivations:
    """What the harvest reads: where activations are kept, its second pass reads those of the first, and so does the
    harvest of another run on the same subject and text where they are shared.
    """
    if bench.config.train.activations == "stream":
        return bench.subject
    facts = f"{bench.subject.content_hash()} {bench.subject.dtype} {stored_dtype(bench)}"
    origin = hashlib.blake2b(facts.encode(), digest_size=8).hexdigest()
    folder = activations_folder(bench, layout) / f"evidence-{origin}"
    if folder.is_dir():
        progress.say(f"evidence: activations read again from {folder}, as far as they are of the same text")
    else:
        read = {each for point in points for each in (point, neuron_point(bench.subject, point)) if each is not None}
        folders = dict.fromkeys(sorted(read, key=str), folder)
        require_room(bench, folders, 2 * bench.tokens_per_role, progress)
    return KeptActivations(bench.subject, folder, dtype=stored_dtype(bench))


def forget_activations(layout: RunLayout) -> None:
    """Remove those that only this run reads."""
    shutil.rmtree(layout.activations, ignore_errors=True)


def stored_dtype(bench: Workbench) -> torch.dtype:
    return getattr(torch, bench.config.train.activations_dtype)


def _size(n_bytes: int) -> str:
    return f"{n_bytes / 1e9:,.1f} GB" if n_bytes >= 1e8 else f"{n_bytes / 1e6:,.1f} MB"
