"""Names of countries, currencies, months, languages and units in many languages, from Babel's copy of CLDR."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING, Literal

from autointerp.audition.concept import Span, Truth

if TYPE_CHECKING:
    from babel import Locale

__all__ = ["LOCALES", "NAME_KINDS", "NameKind", "babel_version", "named", "names_of"]

# fmt: off
LOCALES = (
    "en", "de", "fr", "es", "it", "pt", "nl", "sv", "da", "fi", "et", "lt", "lv", "pl", "cs", "sk", "sl", "hr", "hu",
    "ro", "tr", "id", "ms", "vi", "sw", "cy", "eu", "is", "ga", "sq",
)
# fmt: on
NameKind = Literal["country", "currency", "month", "language", "length", "measure"]
NAME_KINDS: tuple[NameKind, ...] = ("country", "currency", "month", "language", "length", "measure")
"""`length`: units of length. `measure`: other units."""

_LENGTHS = (
    "kilometer", "meter", "decimeter", "centimeter", "millimeter", "micrometer", "nanometer", "mile", "yard", "foot",
    "inch", "light-year", "nautical-mile", "astronomical-unit", "parsec", "furlong", "fathom",
)  # fmt: skip
_MEASURES = (
    "mass-kilogram", "mass-gram", "mass-tonne", "mass-ounce", "volume-liter", "duration-hour", "duration-minute",
    "duration-week", "duration-century", "power-watt", "power-horsepower", "energy-joule", "energy-calorie",
)  # fmt: skip
_NOWHERE = ("EU", "EZ", "UN", "QO", "XA", "XB", "ZZ")
"""Unions, nameless places, test locales."""
_WORD = re.compile(r"[\w'’-]+")
_NAME = re.compile(r"[^\W\d_][^\d_()\[\],;:/]*")
_MOST_WORDS = 6


def babel_version() -> str:
    from babel import __version__

    return __version__


@cache
def names_of(kind: NameKind) -> tuple[str, ...]:
    """Sorted and capitalised, without names that another kind has in any language."""
    return tuple(sorted(name for name in _gathered()[kind] if len(_kinds_by_name()[name.casefold()]) == 1))


def named(*kinds: NameKind) -> Truth:
    """Spans of such names in any case; the longest where several begin together."""
    return lambda text: _find(text, _names_of_any(kinds))


@cache
def _names_of_any(kinds: tuple[NameKind, ...]) -> frozenset[str]:
    return frozenset(name.casefold() for kind in kinds for name in names_of(kind))


def _find(text: str, names: frozenset[str]) -> list[Span]:
    words = [match.span() for match in _WORD.finditer(text)]
    spans: list[Span] = []
    for first, (start, _) in enumerate(words):
        if spans and start < spans[-1][1]:
            continue
        ends = [end for _, end in words[first : first + _MOST_WORDS] if text[start:end].casefold() in names]
        spans += [(start, ends[-1])] if ends else []
    return spans


@cache
def _gathered() -> dict[NameKind, set[str]]:
    from babel import Locale

    names: dict[NameKind, set[str]] = {kind: set() for kind in NAME_KINDS}
    for locale in map(Locale, LOCALES):
        for kind, name in _iter_names(locale):
            if len(name) > 2 and len(_WORD.findall(name)) <= _MOST_WORDS and _NAME.fullmatch(name):
                names[kind].add(name[0].upper() + name[1:])
    return names


@cache
def _kinds_by_name() -> dict[str, set[NameKind]]:
    kinds: dict[str, set[NameKind]] = defaultdict(set)
    for kind, names in _gathered().items():
        for name in names:
            kinds[name.casefold()].add(kind)
    return kinds


def _iter_names(locale: Locale) -> Iterator[tuple[NameKind, str]]:
    from babel.units import get_unit_name

    def units(codes: Sequence[str]) -> list[str]:
        return [name for code in codes if (name := get_unit_name(code, "long", locale))]

    names: dict[NameKind, Iterable[str]] = {
        "country": [name for code, name in locale.territories.items() if len(code) == 2 and code not in _NOWHERE],
        "currency": locale.currencies.values(),
        "month": locale.months["stand-alone"]["wide"].values(),
        "language": [name for code, name in locale.languages.items() if len(code) == 2],
        "length": units(_LENGTHS),
        "measure": units(_MEASURES),
    }
    for kind, known in names.items():
        for name in known:
            yield kind, name
