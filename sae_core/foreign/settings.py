"""Checked keys of a dictionary's configuration file."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from sae_core.errors import DictionaryFormatError

__all__ = ["Settings"]

_REQUIRED: Any = object()


class Settings:
    """The object in the JSON file `path`. Every method raises DictionaryFormatError naming file, key and value."""

    def __init__(self, path: Path, values: Mapping[str, Any]) -> None:
        self.path = path
        self.values = values

    def get(self, key: str) -> Any:
        return self.values.get(key)

    def count(self, key: str, *, least: int = 1, most: int | None = None, default: Any = _REQUIRED) -> int:
        """A whole number."""
        value = self._value(key, default)
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise self._error(key, value, f"a whole number of at least {least}")
        if most is not None and value > most:
            raise self._error(key, value, f"at most the number of features, {most}")
        return value

    def divisor(self, key: str, *, of: int) -> int:
        """A whole number that divides `of`, the number of features."""
        value = self.count(key)
        if of % value:
            raise self._error(key, value, f"a divisor of the number of features, {of}")
        return value

    def number(self, key: str, *, default: Any = _REQUIRED) -> float:
        value = self._value(key, default)
        if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
            raise self._error(key, value, "a number")
        return float(value)

    def flag(self, key: str, *, default: bool) -> bool:
        value = self._value(key, default)
        if not isinstance(value, bool):
            raise self._error(key, value, "true or false")
        return value

    def choice(self, key: str, allowed: tuple[str, ...], *, default: Any = _REQUIRED) -> str:
        value = self._value(key, default)
        if value not in allowed:
            near = difflib.get_close_matches(str(value), allowed, n=1)
            hint = f" (did you mean {near[0]!r}?)" if near else ""
            raise self._error(key, value, f"one of {', '.join(allowed)}{hint}")
        return value

    def mapping(self, key: str) -> dict[str, Any]:
        """An object; empty if the key is missing."""
        value = self.values.get(key)
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise self._error(key, value, "an object")
        return value

    def only(self, known: Iterable[str], *, relevant: re.Pattern[str] | None = None) -> None:
        """Refuse keys not in `known` (and matching `relevant`, if given), since they may change what the dictionary
        computes."""
        known = set(known)
        for key in self.values:
            if key not in known and (relevant is None or relevant.search(key)):
                near = difflib.get_close_matches(key, known, n=1)
                hint = f" (did you mean {near[0]!r}?)" if near else ""
                raise DictionaryFormatError(
                    f"{self.path}: {key[:80]} = {str(self.values[key])[:80]!r} is not understood{hint}, and may change "
                    "the codes; remove the key if it does not"
                )

    def growing(self, key: str, *, last: int) -> tuple[int, ...]:
        """Growing whole numbers that end with `last`."""
        value = self._value(key, _REQUIRED)
        is_list = isinstance(value, list) and all(isinstance(item, int) for item in value)
        if not is_list or sorted(set(value)) != value or value[:1] < [1] or value[-1] != last:
            raise self._error(key, value, f"growing whole numbers of which the last is {last}")
        return tuple(value)

    def _value(self, key: str, default: Any) -> Any:
        value = self.values.get(key)
        return default if value is None and default is not _REQUIRED else value

    def _error(self, key: str, value: Any, wanted: str) -> DictionaryFormatError:
        shown = (
            "missing" if value is None else f"= {value[:80]!r}" if isinstance(value, str) else f"= {str(value)[:80]}"
        )
        return DictionaryFormatError(f"{self.path}: {key} {shown}, must be {wanted}; correct it or save it again")
