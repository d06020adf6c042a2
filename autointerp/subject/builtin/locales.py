"""CLDR text in many scripts from the Babel package, as documents: names, dates, amounts, durations.

Several documents per locale, with ids such as `cldr/ar/languages/03`. Takes nothing but Babel's own data.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Mapping

import numpy as np
from babel import Locale, dates, lists, numbers, units

from autointerp.records.document import Document
from autointerp.seeds import stream

__all__ = ["LOCALES", "iter_locale_documents"]

SEED = 20231004
# One locale per language: regional variants would put the same sentences into several roles.
LOCALE_LIST = (
    "am ar bg bn cs da de el en es fa fi fr gu he hi hu hy id it ja ka km kn ko lo ml mr my nl no pa pl pt ro ru si "
    "sv sw ta te th tr uk ur vi zh zh_Hant"
)
LOCALES = tuple(LOCALE_LIST.split())
# Text of these is wanted often enough that a feature for the script can be found, explained and scored.
FAVOURED = frozenset({"ar", "he", "ru", "el", "hi", "zh", "ja", "ko", "th"})
N_NAMES_PER_DOCUMENT = 40
N_NAMES_PER_LINE = 8
N_CALENDAR_DOCUMENTS, N_CALENDAR_DOCUMENTS_FAVOURED = 6, 40
N_CALENDAR_LINES = 14
UNITS = ("length-kilometer", "mass-kilogram", "duration-hour", "duration-day", "temperature-celsius", "length-meter")
CURRENCIES = ("USD", "EUR", "JPY", "GBP", "INR", "CNY", "BRL", "RUB")


def iter_locale_documents(locales: Iterable[str] = LOCALES) -> Iterator[Document]:
    """All documents of each locale; the order and the text depend on Babel's version only."""
    for name in locales:
        locale = Locale.parse(name)
        for kind, texts in (
            *((kind, _name_texts(locale, names)) for kind, names in _names(locale).items()),
            ("calendar", _calendar_texts(locale, name)),
        ):
            for number, text in enumerate(texts):
                yield Document(id=f"cldr/{name}/{kind}/{number:02d}", source=f"cldr/{name}", text=text)


def _names(locale: Locale) -> dict[str, list[str]]:
    return {
        "languages": _values(locale.languages),
        "territories": _values(locale.territories),
        "scripts": _values(locale.scripts),
        "currencies": _values(locale.currencies),
        "cities": _values({key: zone.get("city", "") for key, zone in locale.time_zones.items()}),
    }


def _values(names: Mapping[str, str]) -> list[str]:
    """The names in the order of their codes, each once, as one line each."""
    return list(dict.fromkeys(" ".join(names[code].split()) for code in sorted(names) if names[code]))


def _name_texts(locale: Locale, names: list[str]) -> Iterator[str]:
    """Enumerations in the language's own manner ("a, b and c"), eight names a line."""
    for start in range(0, len(names), N_NAMES_PER_DOCUMENT):
        chunk = names[start : start + N_NAMES_PER_DOCUMENT]
        lines = [chunk[i : i + N_NAMES_PER_LINE] for i in range(0, len(chunk), N_NAMES_PER_LINE)]
        yield "\n".join(lists.format_list(line, locale=locale) for line in lines) + "\n"


def _calendar_texts(locale: Locale, name: str) -> Iterator[str]:
    n_documents = N_CALENDAR_DOCUMENTS_FAVOURED if name in FAVOURED else N_CALENDAR_DOCUMENTS
    for number in range(n_documents):
        generator = stream(SEED, "builtin-corpus", "cldr", name, number)
        yield "\n".join(_calendar_line(locale, generator) for _ in range(N_CALENDAR_LINES)) + "\n"


def _calendar_line(locale: Locale, generator: np.random.Generator) -> str:
    """One date, duration, amount or quantity, spelt as the language does."""
    style, size = int(generator.integers(6)), int(generator.integers(2, 5000))
    day = datetime.date(1950, 1, 1) + datetime.timedelta(days=int(generator.integers(36500)))
    if style <= 1:
        return dates.format_date(day, format="full" if style else "long", locale=locale)
    if style == 2:
        delta = datetime.timedelta(seconds=int(60 ** generator.uniform(0, 4.5)))
        return dates.format_timedelta(delta, add_direction=True, locale=locale)
    if style == 3:
        code = CURRENCIES[int(generator.integers(len(CURRENCIES)))]
        return numbers.format_currency(size, code, locale=locale, format_type="name")
    if style == 4:
        unit = UNITS[int(generator.integers(len(UNITS)))]
        return units.format_unit(size % 500, unit, length="long", locale=locale)
    other = day + datetime.timedelta(days=size)
    return lists.format_list(
        [dates.format_date(d, format="EEEE, d MMMM", locale=locale) for d in (day, other)], locale=locale
    )
