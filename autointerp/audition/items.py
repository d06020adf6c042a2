"""Made-up strings that plain English lacks: words of other scripts, digests, dates, addresses.

No address, key or person is real.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from datetime import date, timedelta

import numpy as np

from autointerp.audition.names import NAME_KINDS, NameKind, names_of

__all__ = ["DAYS", "GAP", "KINDS", "draw_item"]

GAP = "\x1f"
"""Between pieces of a string that go to several places of a text."""

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
SCRIPTS = {
    "arabic": ((0x0627, 0x063A), (0x0641, 0x064A)),
    "hebrew": ((0x05D0, 0x05EA),),
    "greek": ((0x03B1, 0x03C1), (0x03C3, 0x03C9)),
    "cyrillic": ((0x0430, 0x044F),),
    "armenian": ((0x0561, 0x0586),),
    "georgian": ((0x10D0, 0x10F0),),
}
"""Letters as inclusive ranges of code points; their order in a word means nothing."""

_ACCENTED = "áàâäéèêëíìîïóòôöúùûüñç"
_LOWER = "abcdefghijklmnopqrstuvwxyz"
_DIGITS = "0123456789"
# fmt: off
_NAMES = (
    "alder", "birch", "cedar", "delta", "ember", "fjord", "grove", "heath", "inlet", "juniper", "kelp", "larch",
    "maple", "north", "olive", "poplar", "quartz", "reed", "slate", "thorn", "umber", "vale", "willow", "yarrow",
)
# fmt: on


def draw_item(kind: str, rng: np.random.Generator) -> str:
    """Raises KeyError for a kind not in `KINDS`."""
    return KINDS[kind](rng)


def _pick(rng: np.random.Generator, items: Sequence[str]) -> str:
    return items[int(rng.integers(len(items)))]


def _letters(rng: np.random.Generator, alphabet: str, least: int, most: int) -> str:
    return "".join(_pick(rng, alphabet) for _ in range(int(rng.integers(least, most + 1))))


def _words(script: str) -> Callable[[np.random.Generator], str]:
    alphabet = "".join(chr(code) for first, last in SCRIPTS[script] for code in range(first, last + 1))

    def draw(rng: np.random.Generator) -> str:
        return " ".join(_letters(rng, alphabet, 3, 6) for _ in range(int(rng.integers(1, 4))))

    return draw


def _cyrillic(rng: np.random.Generator) -> str:
    words = _words("cyrillic")(rng)
    return words.capitalize() if rng.random() < 0.5 else words


def _greek_number(rng: np.random.Generator) -> str:
    return f"{_words('greek')(rng)} {int(rng.integers(2, 900))}"


def _accented(rng: np.random.Generator) -> str:
    return _letters(rng, "bcdfglmnprstv", 1, 2) + _pick(rng, _ACCENTED) + _letters(rng, "lmnrst", 1, 2) + "o"


def _number(least: int, most: int) -> Callable[[np.random.Generator], str]:
    return lambda rng: _pick(rng, _DIGITS[1:]) + _letters(rng, _DIGITS, least - 1, most - 1)


def _prefixed_hex(rng: np.random.Generator) -> str:
    # the first is a letter, so that the case can be seen
    letters = "abcdef"
    body = _pick(rng, letters) + _letters(rng, _DIGITS + letters, 3, 9)
    return "0x" + (body.upper() if rng.random() < 0.5 else body)


def _hex_run(rng: np.random.Generator) -> str:
    return _letters(rng, "abcdef", 1, 2) + _pick(rng, _DIGITS) + _letters(rng, _DIGITS + "abcdef", 12, 30)


def _mixed_run(rng: np.random.Generator) -> str:
    return _pick(rng, "ghkmpqrtvwxyz") + _pick(rng, _DIGITS) + _letters(rng, _DIGITS + _LOWER, 12, 30)


def _base64(rng: np.random.Generator) -> str:
    # a length that leaves one or two bytes over, for equals signs at the end
    return base64.b64encode(rng.bytes(3 * int(rng.integers(5, 10)) + int(rng.integers(1, 3)))).decode()


def _dna(rng: np.random.Generator) -> str:
    return _letters(rng, "ACGT", 10, 30)


def _capitals(rng: np.random.Generator) -> str:
    return _letters(rng, "DEFHIKLMNPQRSVWY", 10, 30)


def _host(rng: np.random.Generator) -> str:
    return f"{_pick(rng, _NAMES)}.example.{_pick(rng, ('org', 'com', 'net'))}"


def _url(scheme: str) -> Callable[[np.random.Generator], str]:
    def draw(rng: np.random.Generator) -> str:
        tail = _pick(rng, _NAMES) + (_letters(rng, _DIGITS, 1, 4) if rng.random() < 0.5 else "")
        return f"{scheme}://{_host(rng)}/{_pick(rng, _NAMES)}/{tail}"

    return draw


def _email(rng: np.random.Generator) -> str:
    return f"{_pick(rng, _NAMES)}.{_pick(rng, _NAMES)}@{_host(rng)}"


def _day(rng: np.random.Generator) -> tuple[int, int, int]:
    return int(rng.integers(1950, 2030)), int(rng.integers(1, 13)), int(rng.integers(1, 29))


def _iso_date(rng: np.random.Generator) -> str:
    year, month, day = _day(rng)
    return f"{year}-{month:02}-{day:02}"


def _slash_date(rng: np.random.Generator) -> str:
    year, month, day = _day(rng)
    return f"{day:02}/{month:02}/{year}"


def _time(rng: np.random.Generator) -> str:
    return f"{int(rng.integers(24)):02}:{int(rng.integers(60)):02}"


def _long_time(rng: np.random.Generator) -> str:
    return f"{_time(rng)}:{int(rng.integers(60)):02}"


def _dotted(n_numbers: int) -> Callable[[np.random.Generator], str]:
    return lambda rng: ".".join(str(int(n)) for n in rng.integers(0, 40, size=n_numbers))


def _money(rng: np.random.Generator) -> str:
    cents = f".{int(rng.integers(100)):02}" if rng.random() < 0.5 else ""
    return f"${int(rng.integers(2, 5000))}{cents}"


def _path(rng: np.random.Generator) -> str:
    root = _pick(rng, ("/usr", "/usr", "/home", "/var"))
    return "/".join([root, *(_pick(rng, _NAMES) for _ in range(int(rng.integers(1, 4))))])


def _name(kind: NameKind) -> Callable[[np.random.Generator], str]:
    return lambda rng: _pick(rng, names_of(kind))


def _called_weekday(rng: np.random.Generator) -> str:
    """Two people named after weekdays, and one of both or another weekday."""
    days = [DAYS[place] for place in rng.permutation(len(DAYS))]
    return GAP.join((f"someone called {days[0]}", f"someone called {days[1]}", days[int(rng.integers(4))]))


def _around(*signs: str) -> Callable[[np.random.Generator], str]:
    """The signs in order, a number among them, more often inside."""

    def draw(rng: np.random.Generator) -> str:
        places = (*range(len(signs) + 1), *range(1, len(signs), 2), *range(1, len(signs), 2))
        place = places[int(rng.integers(len(places)))]
        return GAP.join((*signs[:place], str(int(rng.integers(10, 100))), *signs[place:]))

    return draw


def _mentions(rng: np.random.Generator) -> str:
    """Three people, or two, one of them named twice."""
    names = [_NAMES[place].capitalize() for place in rng.permutation(len(_NAMES))[:3]]
    third = names[int(rng.integers(2))] if rng.random() < 0.5 else names[2]
    order = [names[0], names[1], third] if rng.random() < 0.7 else [names[0], third, names[1]]
    return GAP.join(f"Mr {name}" for name in order)


def _semicolons(rng: np.random.Generator) -> str:
    return GAP.join((*(";" * int(rng.integers(1, 7))), "!"))


def _sum(rng: np.random.Generator) -> str:
    first = int(rng.integers(21, 80))
    return f"{first} + {int(rng.integers(82, 119)) - first}"


def _date_pair(rng: np.random.Generator) -> str:
    first = date(*_day(rng))
    return f"{first} to {first + timedelta(days=int(rng.integers(42, 79)))}"


def _list(rng: np.random.Generator) -> str:
    return f"[{', '.join(str(int(n)) for n in rng.integers(10, 100, size=int(rng.integers(3, 9))))}]"


KINDS: dict[str, Callable[[np.random.Generator], str]] = {
    **{name: _words(name) for name in SCRIPTS if name != "cyrillic"},
    "cyrillic": _cyrillic,
    "greek_number": _greek_number,
    "accented": _accented,
    "number4": _number(4, 4),
    "number_long": _number(5, 9),
    "number": _number(1, 3),
    "prefixed_hex": _prefixed_hex,
    "hex_run": _hex_run,
    "mixed_run": _mixed_run,
    "base64": _base64,
    "dna": _dna,
    "capitals": _capitals,
    "https": _url("https"),
    "http": _url("http"),
    "email": _email,
    "iso_date": _iso_date,
    "slash_date": _slash_date,
    "time": _time,
    "long_time": _long_time,
    "version": _dotted(3),
    "decimal": _dotted(2),
    "money": _money,
    "path": _path,
    "such_as": lambda rng: f"such as {_pick(rng, _NAMES)}",
    "as_alone": lambda rng: f"as {_pick(rng, _NAMES)}",
    **{f"name_{kind}": _name(kind) for kind in NAME_KINDS},
    "called_weekday": _called_weekday,
    "bracketed": _around("(", ")", "(", ")"),
    "quoted": _around("“", "”", "“", "”"),
    "mentions": _mentions,
    "semicolons": _semicolons,
    "sum": _sum,
    "date_pair": _date_pair,
    "brackets": lambda rng: GAP.join("()"),
    "list": _list,
}
