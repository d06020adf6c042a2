"""`quality.json` of a dictionary: its reconstruction of held-out activations."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from autointerp.errors import ArtefactError, UnreadableFile
from autointerp.runs.digests import is_stated, require_files
from autointerp.runs.layout import RunLayout
from autointerp.small_files import read_json

__all__ = ["DENSITY_DECADES", "FidelityRecord", "QualityRecord", "SinksRecord", "is_measured", "load_quality"]

DENSITY_DECADES = (-7.0, 0.0)  # range of the histogram of densities in powers of ten

Interval = Annotated[list[float], Field(min_length=2, max_length=2)]
"""95%, both ends."""

_Share = Annotated[float, Field(ge=0.0, le=1.0)]
_Count = Annotated[int, Field(ge=0)]


class FidelityRecord(BaseModel):
    """Losses under spliced-in reconstructions in nats per token, and shares of recovered loss."""

    model_config = ConfigDict(strict=True)

    clean: float | None = None
    spliced: float | None = None
    zero: float | None = None
    mean: float | None = None
    recovered_zero_frac: float | None = None
    recovered_mean_frac: float | None = None
    recovered_zero_interval: Interval | None = None
    recovered_mean_interval: Interval | None = None


class SinksRecord(BaseModel):
    """Attention sinks of a site (`subject.sinks.Sinks`)."""

    model_config = ConfigDict(strict=True)

    longest: Annotated[float, Field(gt=0.0)]
    n: _Count
    tokens_frac: _Share
    variance_frac: _Share
    norm_ratio: Annotated[float, Field(ge=0.0)]
    positions: dict[str, int]
    tokens: dict[str, int]


class UltralowRecord(BaseModel):
    """An ultralow-density cluster (`sae_core.ultralow.UltralowCluster`)."""

    model_config = ConfigDict(strict=True)

    limit: Annotated[float, Field(gt=0.0)]
    n_features: _Count
    live_frac: _Share


class QualityRecord(BaseModel):
    """A dictionary on held-out activations; None for undefined figures, and for `fidelity` without splicing."""

    model_config = ConfigDict(strict=True)

    kind: str
    n_features: _Count
    n_tokens: _Count | None = None
    l0: Annotated[float, Field(ge=0.0)] | None
    fvu: Annotated[float, Field(ge=0.0)] | None
    explained_variance: Annotated[float, Field(le=1.0)] | None
    dead_frac: _Share | None
    density_histogram: list[_Count] = []
    """Live features by firing rate, in bins of equal width over DENSITY_DECADES."""
    intervals: dict[str, Interval] = {}
    """Of fvu, l0 and dead_frac."""
    ultralow: UltralowRecord | None = None
    """None where no mode of rare features stands apart."""
    fidelity: FidelityRecord | None = None
    origin: dict[str, str | list[str]] | None = None
    """The source of a dictionary trained elsewhere."""
    sinks: SinksRecord | None = None
    """Attention sinks of its site, if any."""

    @model_validator(mode="after")
    def _check(self) -> QualityRecord:
        if self.l0 is not None and self.l0 > self.n_features:
            raise ValueError(f"l0 = {self.l0:g} is more than n_features = {self.n_features}")
        return self


def is_measured(layout: RunLayout, name: str) -> bool:
    path = layout.quality(name)
    return path.exists() or is_stated(layout, path)


def load_quality(layout: RunLayout, name: str) -> QualityRecord | None:
    """The record of a dictionary, or None. Raises ArtefactError for a damaged record."""
    path = layout.quality(name)
    if not is_measured(layout, name):
        return None
    require_files(layout, path)
    fix = f"{layout.remake('train')} makes it anew; without it the run is reported without its figures"
    try:
        return QualityRecord.model_validate(read_json(path))
    except UnreadableFile as error:
        raise ArtefactError(f"{error}; {fix}") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(map(str, first["loc"]))
        raise ArtefactError(f"{path} is damaged: {key + ': ' if key else ''}{first['msg']}; {fix}") from None
