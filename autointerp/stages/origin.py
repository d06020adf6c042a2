"""Where a dictionary that was not trained here comes from, and whether it belongs to what it is asked to read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, get_args

from autointerp.config.dictionary_entry import DictionaryEntry
from autointerp.config.sites import Site, SitePoint
from autointerp.config.tree import SubjectConfig
from autointerp.errors import SubjectError
from autointerp.subject.corpus import IN_MEMORY

__all__ = ["Origin", "Place", "check_origin"]

# what a place within a block is called beside transformer_lens' own hooks and our sites
_NAMES_OF_SITES: dict[str, Site] = {
    "": "resid_post",  # a block's output, as models and sparsify name it
    "hook_in": "resid_pre",
    "hook_out": "resid_post",
    "mlp": "mlp_out",
    "attn": "attn_out",
    "attention": "attn_out",
    "self_attn": "attn_out",
    "attention_out": "attn_out",
}

# characters shown of what a file says
_LONGEST = 80

_IN_BLOCK = re.compile(r"(?:^|\.)(?P<blocks>blocks|layers|layer|h)\.(?P<layer>\d+)(?:\.(?P<rest>.+))?$")
_WITH_LAYER = re.compile(r"(?P<site>\w+?)_layer_(?P<layer>\d+)$")
_CLASS = re.compile(r"(Model|LM|Bridge)$")
_HUB_CACHE = re.compile(r"models--(?:[^/]+--)?([^/]+?)(?:/|$)")


@dataclass(frozen=True, slots=True)
class Origin:
    """What a dictionary says of itself."""

    format: str
    architecture: str
    # JSON-ready, in SAELens' words: model_name, hook_name, layer, context_size, prepend_bos
    metadata: Mapping[str, Any]
    notes: tuple[str, ...] = ()

    @classmethod
    def of_copy(cls, kept: Mapping[str, Any]) -> Origin:
        metadata = kept.get("metadata")
        notes = kept.get("notes")
        return cls(
            format=str(kept.get("format")),
            architecture=str(kept.get("architecture")),
            metadata=metadata if isinstance(metadata, Mapping) else {},
            notes=tuple(map(str, notes)) if isinstance(notes, list) else (),
        )

    @property
    def model(self) -> str | None:
        return self._text("model_name")

    @property
    def hook(self) -> str | None:
        return self._text("hook_name")

    @property
    def written_hook(self) -> str | None:
        """Where a transcoder writes."""
        return self._text("hook_name_out")

    @property
    def weights(self) -> str:
        """Whose weights: the trained model's, or a random twin's."""
        return self._text("subject_weights") or "trained"

    @property
    def place(self) -> Place:
        place = Place.of(self.hook) if self.hook else Place(None, None)
        if place.layer is not None:
            return place
        layers = [value for key in ("layer", "hook_layer") if type(value := self.metadata.get(key)) is int]
        return replace(place, layer=layers[0] if layers else None)

    def to_json(self, *, forced: Sequence[str] = ()) -> dict[str, Any]:
        """What the run's copy keeps. `forced`: accepted differences from the model and place it is measured on."""
        kept = {
            "format": self.format,
            "architecture": self.architecture,
            "metadata": dict(self.metadata),
            "notes": list(self.notes),
            **({"forced": list(forced)} if forced else {}),
        }
        return json.loads(json.dumps(kept, default=str))

    def shown(self, *, forced: Sequence[str] = ()) -> dict[str, Any]:
        known = {"model": self.model, "hook": self.hook or (None if self.place.layer is None else str(self.place))}
        plain = {"format": self.format, "architecture": self.architecture, **known}
        told = {key: value[:_LONGEST] for key, value in plain.items() if value is not None}
        return {**told, **({"forced": list(forced)} if forced else {})}

    def _text(self, key: str) -> str | None:
        value = self.metadata.get(key)
        return value if isinstance(value, str) and value.strip() else None


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a model as far as its name tells."""

    site: Site | None
    layer: int | None
    # none of our sites
    is_other: bool = False

    def __str__(self) -> str:
        return f"layer {self.layer}" if self.site is None else f"{self.site}.{self.layer}"

    @classmethod
    def of(cls, hook: str) -> Place:
        """The place called `hook`: a hook of transformer_lens, a module's path, or a name of dictionary_learning."""
        match = _IN_BLOCK.search(hook)
        if match:
            layer, rest = int(match["layer"]), match["rest"] or ""
            site = _site(rest)
            return cls(site, layer, is_other=site is None and match["blocks"] == "blocks")
        match = _WITH_LAYER.search(hook)
        return cls(_site(match["site"]), int(match["layer"])) if match else cls(_site(hook) if hook else None, None)

    def is_at(self, point: SitePoint) -> bool:
        """Whether it can be `point`."""
        return not self.is_other and any(
            self.site in (None, site) and self.layer in (None, layer) for site, layer in _names_of(point)
        )


def check_origin(
    origin: Origin,
    entry: DictionaryEntry,
    point: SitePoint,
    *,
    out: SitePoint | None = None,
    subject: SubjectConfig,
    has_bos: bool,
) -> tuple[list[str], list[str]]:
    """(differences that `force` accepts, warnings). `out`: where a transcoder writes.

    Raises SubjectError where it was made for another model or another place and `force` is not set.
    """
    differing = list(_differing(origin, point, out or point, subject))
    if differing and not entry.force:
        raise SubjectError(
            f"dictionaries.{entry.name}: {'; '.join(differing)}. Give the model and the place it was made for"
            f"{_suggestion(origin)}, or force = true on the entry to measure it here all the same"
        )
    warnings = [f"{text}, as force = true insists" for text in differing]
    if origin.model is not None and not _is_named(subject.model):
        warnings.append(
            f"it was made for the model '{origin.model[:_LONGEST]}'; what '{subject.model}' is, is not known"
        )
    if origin.hook and origin.place.site is None and not origin.place.is_other:
        warnings.append(
            f"it was made for '{origin.hook[:_LONGEST]}', which cannot be compared with {point} ('{point.hook}')"
        )
    context, bos = origin.metadata.get("context_size"), origin.metadata.get("prepend_bos")
    if isinstance(context, int) and context != subject.context_tokens:
        warnings.append(
            f"it was made on contexts of {context} tokens, subject.context_tokens is {subject.context_tokens}"
        )
    if isinstance(bos, bool) and bos != has_bos:
        made, read = ("with", "without") if bos else ("without", "with")
        warnings.append(f"it was made {made} a BOS token before each context, the subject here is read {read} one")
    return differing, warnings


def _differing(origin: Origin, point: SitePoint, out: SitePoint, subject: SubjectConfig) -> Iterator[str]:
    if origin.model is not None and _is_named(subject.model) and not _names(origin.model) & _names(subject.model):
        yield f"it was made for the model '{origin.model[:_LONGEST]}', the subject is '{subject.model}'"
    if origin.model is not None and origin.weights != subject.weights:
        yield f"it was made for the model's {origin.weights} weights, subject.weights is '{subject.weights}'"
    written = origin.written_hook
    # a module's name stands for what it reads and what it writes
    is_of_module = out != point and written is None and origin.place.is_at(out)
    if not origin.place.is_at(point) and not is_of_module:
        where = origin.hook[:_LONGEST] if origin.hook else str(origin.place)
        yield f"it was made for '{where}', the entry reads {point} ('{point.hook}')"
    if written is not None and not Place.of(written).is_at(out):
        yield f"it writes '{written[:_LONGEST]}', the entry {out} ('{out.hook}')"


def _suggestion(origin: Origin) -> str:
    place = origin.place
    if place.site is None or place.layer is None:
        return ""
    return f" (site = '{place.site}', layer = {place.layer})"


def _is_named(model: str) -> bool:
    return not (model.startswith(IN_MEMORY) and _CLASS.search(model))


def _names(model: str) -> set[str]:
    """The last part of a model's name or directory, and that of its name in transformer_lens."""
    from transformer_lens.supported_models import get_official_model_name

    name = model.removeprefix(IN_MEMORY).rstrip("/\\")
    cached = _HUB_CACHE.search(name)
    names = {cached[1] if cached else re.split(r"[/\\]", name)[-1]}
    with suppress(ValueError):  # a model that transformer_lens gives no other name
        names.add(get_official_model_name(next(iter(names))).rpartition("/")[2])
    return {one.lower() for one in names}


def _site(name: str) -> Site | None:
    known = {SitePoint(site, 0).hook.removeprefix("blocks.0."): site for site in get_args(Site)}
    return name if name in get_args(Site) else known.get(name, _NAMES_OF_SITES.get(name))  # type: ignore[return-value]


def _names_of(point: SitePoint) -> Iterator[tuple[Site, int]]:
    """The point, and what else it may be called."""
    yield point.site, point.layer
    # what one block writes to the residual stream is what the next one reads
    if point.site == "resid_post":
        yield "resid_pre", point.layer + 1
    if point.site == "resid_pre" and point.layer > 0:
        yield "resid_post", point.layer - 1
