"""Settings of a scorer or explainer: the type of its factory's first parameter, a subclass of the common settings."""

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
    """The settings class in a factory's annotation, or `common`."""
    try:
        hints = get_type_hints(factory.__init__ if inspect.isclass(factory) else factory)
    except (NameError, TypeError):  # names that only a type checker imports; a callable without annotations
        return common
    declared = hints.get(next(iter(inspect.signature(factory).parameters), ""))
    return declared if isinstance(declared, type) and issubclass(declared, common) else common


def read_settings(entry: Settings, declared: type[Settings], *, place: str) -> Settings:
    """The entry as `declared`. Raises ConfigError for an unknown key or bad value."""
    try:
        return declared.model_validate(entry.model_dump(exclude_unset=True))
    except ValidationError as error:
        raise ConfigError(explain_error(error, declared, place=f"{place}.{entry.label or entry.name}")) from None


def refuse_unused(settings: Settings, common: type[Settings], *, place: str) -> None:
    """Raise ConfigError for a common setting that is given but not used. A count of 0 is allowed."""
    for key in sorted(common.uses - type(settings).uses):
        value = getattr(settings, key)
        if value not in (common.model_fields[key].default, 0):
            where = f"{place}.{settings.label or settings.name}"
            raise ConfigError(f"{where}: '{settings.name}' has no use for {key} = {str(value)!r}; remove it")
