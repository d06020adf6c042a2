"""Dictionaries that a run takes as they are: from a file, a release, a plug-in, or an object of Python handed over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from autointerp.config.dictionary_entry import DictionaryEntry
from autointerp.config.sites import SITES, SitePoint
from autointerp.errors import InputError, SubjectError
from autointerp.plugins import open_plugin
from autointerp.pretrained.releases import fetch_released, find_release
from autointerp.runs.layout import RunLayout
from autointerp.stages.objects import Objects
from autointerp.stages.origin import Origin, check_origin
from autointerp.stages.workbench import Workbench
from sae_core.adapter import AdaptedDictionary, HasEncoder, adapt
from sae_core.checkpoint import load_dictionary
from sae_core.dictionary import Dictionary
from sae_core.errors import DictionaryObjectError, WidthMismatchError
from sae_core.inspection import open_dictionary

__all__ = ["ReadyDictionary", "open_ready", "reopen"]

GROUP = "autointerp.dictionaries"


@dataclass(frozen=True, slots=True)
class ReadyDictionary:
    dictionary: Dictionary
    origin: Origin
    # differences from what it is measured on, accepted by `force`
    forced: list[str]
    # what a user should know
    warnings: list[str]


def open_ready(entry: DictionaryEntry, bench: Workbench, objects: Objects) -> ReadyDictionary:
    """The dictionary of one entry.

    Raises SubjectError for one made for another model or place, WidthMismatchError, DictionaryFormatError or
    DictionaryObjectError for one that does not fit, or cannot be read or used.
    """
    point = bench.point(entry)
    if entry.kind == "load":
        assert entry.path is not None
        dictionary, origin = _from_file(entry.path)
    elif entry.kind == "release":
        dictionary, origin = _from_release(entry, point)
    else:
        dictionary, origin = _from_object(_object(entry, bench.subject.width(point), objects), entry)
    out = bench.out_point(entry, dictionary)
    _check_sites(entry, dictionary, point, out)
    forced, warnings = check_origin(
        origin,
        entry,
        point,
        out=out,
        subject=bench.config.subject,
        has_bos=bench.subject.bos_id is not None,
    )
    for verb, made, at in (("reads", dictionary.d_in, point), ("writes", dictionary.directions.shape[1], out)):
        if made != bench.subject.width(at):
            raise WidthMismatchError(
                f"{_where(entry)} {verb} activations of width {made}, but {at} is {bench.subject.width(at)} wide; give "
                "its own site and layer"
            )
    if dictionary.is_cross_layer:
        warnings.append(
            "one layer of a cross-layer transcoder: it is no reconstruction of any one place, so neither fvu nor loss "
            "recovered is measured, and none of its features is pinned; logit effects are of its decoders' sum"
        )
    return ReadyDictionary(dictionary, origin, forced, warnings)


def reopen(
    entry: DictionaryEntry, layout: RunLayout, *, device: torch.device, objects: Objects | None = None
) -> Dictionary:
    """The dictionary that the train stage left in the run. Raises DictionaryObjectError where its object is another
    one.
    """
    dictionary = load_dictionary(layout.dictionary(entry.name), device=device)
    if isinstance(dictionary, AdaptedDictionary):
        dictionary.attach(_object(entry, dictionary.d_in, objects or {}))
    return dictionary


def _check_sites(entry: DictionaryEntry, dictionary: Dictionary, point: SitePoint, out: SitePoint) -> None:
    """Raises SubjectError unless a transcoder writes after it reads, and anything else names one site."""
    if dictionary.is_transcoder and list(SITES).index(out.site) <= list(SITES).index(point.site):
        raise SubjectError(
            f"{_where(entry)} is a transcoder: a pass meets {out}, where it writes, no later than {point}, where it "
            "reads; give site (such as 'mlp_in') and out_site (such as 'mlp_out')"
        )
    if entry.out_site is not None and not dictionary.is_transcoder:
        raise SubjectError(f"{_where(entry)} is no transcoder: it writes where it reads; leave out_site out")


def _from_file(path: Path, *, format: str = "auto") -> tuple[Dictionary, Origin]:
    opened = open_dictionary(path, format=format)
    metadata = dict(opened.metadata)
    kept = metadata.pop("origin", None)
    if isinstance(kept, dict):
        # the copy in another run's directory: what it was made for, not what that run measured it on
        return opened.dictionary, Origin.of_copy(kept)
    return opened.dictionary, Origin(opened.format, opened.architecture, metadata, opened.notes)


def _from_release(entry: DictionaryEntry, point: SitePoint) -> tuple[Dictionary, Origin]:
    """Fetched from the hub; what its files do not say of their origin, the registry does."""
    assert entry.release is not None
    release = find_release(entry.release)
    try:
        path = fetch_released(release.locate(site=point.site, layer=point.layer, options=entry.options))
    except InputError as error:
        raise SubjectError(f"dictionaries.{entry.name}: {error}") from error
    dictionary, origin = _from_file(path, format=release.layout)
    known = {"model_name": release.subject, "hook_name": point.hook}
    return dictionary, replace(origin, metadata={**known, **origin.metadata, "release": release.name})


def _from_object(source: object, entry: DictionaryEntry) -> tuple[Dictionary, Origin]:
    try:
        dictionary = adapt(source)
    except DictionaryObjectError as error:
        raise DictionaryObjectError(f"dictionaries.{entry.name}: {error}") from error
    return dictionary, Origin(entry.plugin or "object", type(source).__qualname__, _metadata(source))


def _metadata(source: object) -> Mapping[str, Any]:
    """What an object says of itself, also as SAELens does."""
    metadata = getattr(source, "metadata", None) or getattr(getattr(source, "cfg", None), "metadata", None)
    if not isinstance(metadata, Mapping) and callable(getattr(metadata, "to_dict", None)):
        metadata = metadata.to_dict()  # type: ignore[union-attr]
    return metadata if isinstance(metadata, Mapping) else {}


def _object(entry: DictionaryEntry, width: int, objects: Objects) -> object:
    if entry.kind == "plugin":
        assert entry.plugin is not None
        return open_plugin(GROUP, entry.plugin, entry, width, kind=HasEncoder)
    if entry.name not in objects:
        raise SubjectError(
            f"dictionaries.{entry.name} has kind '{entry.kind}': its object lives in Python only, so this run goes on "
            "from there; a dictionary in a file has kind = 'load' and a path"
        )
    return objects[entry.name]


def _where(entry: DictionaryEntry) -> str:
    return f"dictionaries.{entry.name}" + (f".path = '{entry.path}'" if entry.kind == "load" else "")
