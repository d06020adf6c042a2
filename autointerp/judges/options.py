"""Checked options of a judge; errors never show a secret's value."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from autointerp.errors import ConfigError

__all__ = ["Options", "read_options"]


class Options(BaseModel):
    """Base of judges' options: frozen, unknown keys refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


Model = TypeVar("Model", bound=Options)


def read_options(judge: str, model: type[Model], options: Mapping[str, Any]) -> Model:
    """Raises ConfigError naming the key; only numbers are repeated."""
    try:
        return model.model_validate(dict(options))
    except ValidationError as error:
        # `input` is left out on purpose: people paste keys where the name of a variable belongs
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
    location = ".".join(str(part) for part in first["loc"])
    key = f"judges.{judge}.{location}" if location else f"judges.{judge}"
    if first["type"] == "extra_forbidden":
        near = get_close_matches(location, model.model_fields, n=1)
        hint = f"did you mean '{near[0]}'? " if near else ""
        raise ConfigError(f"{key} is no option; {hint}options: {', '.join(model.model_fields)}")
    given = options.get(location)
    if isinstance(given, bool | int | float):  # no number is a secret
        key = f"{key} = {given!r}"
    raise ConfigError(f"{key}: {first['msg'].removeprefix('Value error, ')}")
