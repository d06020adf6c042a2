"""Base class and number types of config sections."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Amount", "Count", "Fraction", "Positive", "Rate", "Section"]

Positive = Annotated[int, Field(gt=0, strict=True)]
Count = Annotated[int, Field(ge=0, strict=True)]
Fraction = Annotated[float, Field(ge=0.0, le=1.0, strict=True)]
Amount = Annotated[float, Field(ge=0.0, strict=True)]
Rate = Annotated[float, Field(gt=0.0, strict=True)]


class Section(BaseModel):
    """A part of the config: frozen, unknown keys refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())
