"""The settings of a component (a scorer, an explainer): those that all have, and its own, which it declares.

A component declares them by the annotation of its factory's first parameter, a subclass of what all have. Takes the
table as the config holds it; a mistake is one line that names the key.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar, get_type_hints

from pydantic import ValidationError

from autointerp.config.asking import ExplainerConfig, ScorerConfig
from autointerp.config.loading import explain_error
from autointerp.errors import ConfigError

__all__ = ["declared_settings", "read_settings", "refuse_unused"]

Settings = TypeVar("Settings", ScorerConfig, ExplainerConfig)


def declared_settings(factory: Callable[..., Any], common: type[Settings]) -> type[Settings]:
    """What a factory takes first, by its annotation; `common` where that says nothing narrower."""
    try:
        hints = get_type_hints(factory.__init__ if inspect.isclass(factory) else factory)
    except (NameError, TypeError):  # names that only a type checker imports; a callable without annotations
        return common
    declared = hints.get(next(iter(inspect.signature(factory).parameters), ""))
    return declared if isinstance(declared, type) and issubclass(declared, common) else common


def read_settings(entry: Settings, declared: type[Settings], *, place: str) -> Settings:
    """The entry as its component declares it. Raises ConfigError for an unknown key or a bad value."""
    try:
        return declared.model_validate(entry.model_dump(exclude_unset=True))
    except ValidationError as error:
        raise ConfigError(explain_error(error, declared, place=f"{place}.{entry.label or entry.name}")) from None


def refuse_unused(settings: Settings, common: type[Settings], *, place: str) -> None:
    """Raise ConfigError for a setting that all have and this component does not use, where it says something. A count
    of 0 says nothing: it asks for what is not there anyway."""
    for key in sorted(common.uses - type(settings).uses):
        value = getattr(settings, key)
        if value not in (common.model_fields[key].default, 0):
            where = f"{place}.{settings.label or settings.name}"
            raise ConfigError(f"{where}: '{settings.name}' has no use for {key} = {str(value)!r}; remove it")
