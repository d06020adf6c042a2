"""Config sections with the fields of sae_core's configurations as keys."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import fields
from types import UnionType
from typing import Annotated, Any, ClassVar, Union, get_args, get_origin, get_type_hints

from pydantic import Field, create_model

from autointerp.config.section import Section
from sae_core.config import DictionaryConfig, TrainingConfig

__all__ = ["CoreSection", "core_default", "core_section"]


class CoreSection(Section):
    """A section with the fields of `core` among its keys."""

    core: ClassVar[type]

    def stated(self, core: type) -> dict[str, Any]:
        """Its keys that are fields of `core` and not None."""
        values = {each.name: getattr(self, each.name, None) for each in fields(core)}
        return {name: value for name, value in values.items() if value is not None}


def core_section(
    core: type[DictionaryConfig] | type[TrainingConfig], *, without: Collection[str] = (), is_filled: bool = False
) -> type[CoreSection]:
    """A base class with the fields of `core`, by default None, or `core`'s defaults if `is_filled`."""
    hints = get_type_hints(core)
    keys: dict[str, Any] = {}
    for each in fields(core):
        if each.name not in without:
            kind = _bounded(hints[each.name], each.metadata.get("bounds", {}))
            keys[each.name] = (kind, each.default) if is_filled else (kind | None, None)
    section = create_model(f"{core.__name__}Section", __base__=CoreSection, **keys)
    section.core = core
    return section


def core_default(section: type, key: str) -> Any:
    cores = [vars(base)["core"] for base in section.__mro__ if isinstance(vars(base).get("core"), type)]
    return next((each.default for core in cores for each in fields(core) if each.name == key), None)


def _bounded(annotation: Any, bounds: dict[str, Any]) -> Any:
    if annotation in (int, float):
        return Annotated[annotation, Field(strict=True, **bounds)]
    if get_origin(annotation) in (Union, UnionType):
        return Union[tuple(_bounded(part, bounds) for part in get_args(annotation))]  # noqa: UP007
    if get_origin(annotation) is tuple:
        return tuple[_bounded(get_args(annotation)[0], bounds), ...]
    return annotation
