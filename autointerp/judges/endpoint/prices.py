"""Prices of endpoints, from a dated table and the user's own file. Unlisted models have no known price."""

from __future__ import annotations

import datetime
import functools
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from platformdirs import user_config_path
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from autointerp.errors import ConfigError, UnreadableFile
from autointerp.resources import resource
from autointerp.small_files import read_toml

__all__ = ["STALE_DAYS", "Price", "price_of", "user_price_path"]

STALE_DAYS = 120

_VARIABLE = "AUTOINTERP_PRICES"
_SNAPSHOT = re.compile(r"(.+?)-20\d\d-?[01]\d-?[0-3]\d")
_Usd = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]


@dataclass(frozen=True, slots=True)
class Price:
    """USD per million tokens, on the day `taken`. `batch_frac` (None: unknown) is the share charged in a batch;
    `is_users`: from the user's file.
    """

    input_usd: float
    cached_input_usd: float
    output_usd: float
    batch_frac: float | None
    taken: datetime.date
    source: str
    is_users: bool = False

    def usd(
        self, *, input_tokens: int, output_tokens: int, cached_tokens: int = 0, is_batch: bool = False
    ) -> float | None:
        """USD, None in a batch of unknown discount. `input_tokens` include `cached_tokens`."""
        n_cached = min(max(cached_tokens, 0), input_tokens)
        usd = (input_tokens - n_cached) * self.input_usd + n_cached * self.cached_input_usd
        usd = (usd + output_tokens * self.output_usd) / 1e6
        if not is_batch:
            return usd
        return None if self.batch_frac is None else usd * self.batch_frac

    def is_stale(self, at: datetime.date | None = None, *, days: int = STALE_DAYS) -> bool:
        return ((at or _today()) - self.taken).days > days


def price_of(base_url: str, model: str, *, at: datetime.date | None = None) -> Price | None:
    """Price on the day `at` (default today), the user's first; None for an unlisted model.

    Raises ConfigError for a damaged user's file.
    """
    day = at or _today()
    parts = urlsplit(base_url)
    host, address = (parts.hostname or "").lower(), parts.netloc.rpartition("@")[2].lower()
    for rows in (_users_rows(), _own_rows()):
        fits: list[tuple[tuple[int, int], Price]] = []
        for row in rows:
            fit = row.fit(model) if row.is_at(host, address) and row.is_valid(day) else None
            if fit is not None:
                fits.append((fit, row.price))
        if fits:
            best = max(fit for fit, _ in fits)
            return max((price for fit, price in fits if fit == best), key=lambda price: _nearness(price, day))
    return None


def _nearness(price: Price, day: datetime.date) -> tuple[bool, int]:
    """The last price before the day ranks first, then the first one after it."""
    n_days = (day - price.taken).days
    return n_days >= 0, -abs(n_days)


def user_price_path() -> Path:
    """File named by AUTOINTERP_PRICES, else `prices.toml` in the user's configuration directory."""
    if os.environ.get(_VARIABLE):
        return Path(os.environ[_VARIABLE]).expanduser()
    return user_config_path("autointerp", appauthor=False, roaming=True) / "prices.toml"


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class _Model(_Closed):
    """One model, as the file spells it."""

    name: str
    input: _Usd
    cached: _Usd | None = None
    output: _Usd
    batch_frac: Annotated[float, Field(gt=0.0, le=1.0)] | None = None
    first: Annotated[datetime.date | None, Field(alias="from")] = None
    until: datetime.date | None = None


class _Endpoint(_Closed):
    hosts: Annotated[tuple[str, ...], Field(min_length=1)]
    source: str
    taken: datetime.date
    batch_frac: Annotated[float, Field(gt=0.0, le=1.0)] | None = None
    models: tuple[_Model, ...]


class _File(_Closed):
    endpoints: tuple[_Endpoint, ...] = ()


@dataclass(frozen=True, slots=True)
class _Row:
    hosts: tuple[str, ...]
    pattern: str
    first: datetime.date | None
    until: datetime.date | None
    price: Price

    def is_at(self, host: str, address: str) -> bool:
        return any(name in (host, address, "*") or host.endswith(f".{name}") for name in self.hosts)

    def is_valid(self, day: datetime.date) -> bool:
        return (self.first is None or self.first <= day) and (self.until is None or day <= self.until)

    def fit(self, model: str) -> tuple[int, int] | None:
        """Rank of a match: exact name, dated snapshot, longest pattern; None without match."""
        if model == self.pattern:
            return 2, 0
        # NAME-2025-08-07 is a snapshot of NAME
        snapshot = _SNAPSHOT.fullmatch(model)
        if snapshot is not None and snapshot[1] == self.pattern:
            return 1, 0
        return (0, len(self.pattern)) if "*" in self.pattern and fnmatchcase(model, self.pattern) else None


@functools.cache
def _own_rows() -> tuple[_Row, ...]:
    return tuple(_read(resource("prices/endpoints.toml"), is_users=False))


def _users_rows() -> tuple[_Row, ...]:
    path = user_price_path()
    try:
        return _users_rows_of(path, path.stat().st_mtime_ns)
    except FileNotFoundError:
        if os.environ.get(_VARIABLE):
            raise ConfigError(
                f"{_VARIABLE} = '{path}': there is no such file; name your price file, or unset it"
            ) from None
        return ()
    except OSError as error:
        raise ConfigError(f"cannot read the price file {path}: {error.strerror}; repair or delete it") from None


# the second argument is the time of change: an edited file is read again
@functools.lru_cache(maxsize=4)
def _users_rows_of(path: Path, _: int) -> tuple[_Row, ...]:
    return tuple(_read(path, is_users=True))


def _read(path: Path, *, is_users: bool) -> Iterator[_Row]:
    try:
        content = _File.model_validate(read_toml(path))
    except UnreadableFile as error:
        raise ConfigError(f"price file {error}; repair or delete it") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"{path}: {key}: {first['msg']}; its form is that of prices/endpoints.toml") from None
    for endpoint in content.endpoints:
        for model in endpoint.models:
            price = Price(
                input_usd=model.input,
                cached_input_usd=model.input if model.cached is None else model.cached,
                output_usd=model.output,
                batch_frac=endpoint.batch_frac if model.batch_frac is None else model.batch_frac,
                taken=endpoint.taken,
                source=endpoint.source,
                is_users=is_users,
            )
            yield _Row(tuple(host.lower() for host in endpoint.hosts), model.name, model.first, model.until, price)


def _today() -> datetime.date:
    return datetime.datetime.now(tz=datetime.UTC).date()
