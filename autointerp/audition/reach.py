"""Rules that look back over a text or weigh matches."""

from __future__ import annotations

import re
from datetime import date

from autointerp.audition.concept import Span, Truth
from autointerp.audition.items import DAYS

__all__ = [
    "after_odd_count",
    "dates_apart",
    "holds_words",
    "inside",
    "is_called_so",
    "later_mentions",
    "list_of",
    "sum_above",
]

_NUMBER = re.compile(r"\d+")
_SUM = re.compile(r"(\d+) \+ (\d+)")
_DATES = re.compile(r"(\d{4}-\d\d-\d\d) to (\d{4}-\d\d-\d\d)")
_MENTION = re.compile(r"\bMr ([A-Z][a-z]+)")
_LIST = re.compile(r"\[[^\[\]]*\]")
_DAY = re.compile(rf"(\bcalled )?\b({'|'.join(DAYS)})\b")


def inside(opening: str, closing: str, n_words: int = 0) -> Truth:
    """Numbers at least `n_words` words after an opening sign not yet closed."""

    def spans(text: str) -> list[Span]:
        numbers = []
        for match in _NUMBER.finditer(text):
            opened = text.rfind(opening, 0, match.start())
            is_open = opened > text.rfind(closing, 0, match.start())
            if is_open and len(text[opened + 1 : match.start()].split()) >= n_words:
                numbers.append(match.span())
        return numbers

    return spans


def holds_words(n_words: int) -> Truth:
    """Closing round brackets, `n_words` words or more inside."""

    def spans(text: str) -> list[Span]:
        pairs = re.finditer(r"\(([^()]*)\)", text)
        return [(pair.end() - 1, pair.end()) for pair in pairs if len(pair[1].split()) >= n_words]

    return spans


def later_mentions(kind: str = "any") -> Truth:
    """Mentions of a Mr Name but the first. `again`: named before. `last`: named last before."""

    def spans(text: str) -> list[Span]:
        mentions = list(_MENTION.finditer(text))
        names = [mention[1] for mention in mentions]
        fires = {
            "any": lambda place: True,
            "again": lambda place: names[place] in names[:place],
            "last": lambda place: names[place] == names[place - 1],
        }[kind]
        return [mentions[place].span() for place in range(1, len(mentions)) if fires(place)]

    return spans


def is_called_so(days: tuple[str, ...] = DAYS, *, is_any: bool = False) -> Truth:
    """Days of the week after 'called' with the same day; with `is_any`, with any day."""

    def spans(text: str) -> list[Span]:
        called: set[str] = set()
        named = []
        for match in _DAY.finditer(text):
            if match[1]:
                called.add(match[2])
            elif match[2] in days and (match[2] in called or (is_any and called)):
                named.append(match.span(2))
        return named

    return spans


def after_odd_count(least: int = 1) -> Truth:
    """Exclamation marks after an odd number of semicolons, at least `least`."""

    def spans(text: str) -> list[Span]:
        counts = [(match.span(), text.count(";", 0, match.start())) for match in re.finditer("!", text)]
        return [span for span, n in counts if n % 2 and n >= least]

    return spans


def sum_above(limit: int) -> Truth:
    return lambda text: [m.span() for m in _SUM.finditer(text) if int(m[1]) + int(m[2]) > limit]


def dates_apart(n_days: int) -> Truth:
    return lambda text: [
        m.span()
        for m in _DATES.finditer(text)
        if abs((date.fromisoformat(m[2]) - date.fromisoformat(m[1])).days) > n_days
    ]


def list_of(n_members: int) -> Truth:
    return lambda text: [m.span() for m in _LIST.finditer(text) if m[0].count(",") + 1 >= n_members]
