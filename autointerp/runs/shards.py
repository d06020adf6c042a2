"""Shards: parts of a run's features, by a hash of the number, so that processes need not communicate."""

from __future__ import annotations

import re
from dataclasses import dataclass

from autointerp.errors import ConfigError
from autointerp.seeds import derive

__all__ = ["Shard", "parse_shard"]


@dataclass(frozen=True, slots=True, order=True)
class Shard:
    """Part `number` of `count`, from 1; `feature in shard` tests membership."""

    count: int
    number: int

    def __contains__(self, feature: int) -> bool:
        return derive(0, "shard", feature) % self.count == self.number - 1

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    @property
    def folder(self) -> str:
        return f"{self.number}-of-{self.count}"

    @classmethod
    def of_folder(cls, name: str) -> Shard | None:
        """Shard of a folder; None for another folder."""
        match = re.fullmatch(r"([1-9]\d*)-of-([1-9]\d*)", name)
        shard = None if match is None else cls(count=int(match[2]), number=int(match[1]))
        return None if shard is None or shard.number > shard.count else shard


def parse_shard(text: str) -> Shard:
    """Parse `I/N`. Raises ConfigError unless 1 <= I <= N."""
    match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text.strip())
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise ConfigError(f"--shard {text}: give I/N with I from 1 to N, for example 1/4")
    return Shard(count=int(match[2]), number=int(match[1]))
