"""Rules that look back over a text or weigh what they find: pairs of brackets and quotation marks, what came before,
how many, how long, how much. Each gives the spans of a text that it fires on.
"""

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
    """Numbers between such marks with at least so many words, cut at white space, between them and the opening one."""

    def spans(text: str) -> list[Span]:
        found = []
        for match in _NUMBER.finditer(text):
            opened = text.rfind(opening, 0, match.start())
            is_open = opened > text.rfind(closing, 0, match.start())
            if is_open and len(text[opened + 1 : match.start()].split()) >= n_words:
                found.append(match.span())
        return found

    return spans


def holds_words(n_words: int) -> Truth:
    """Closing round brackets with at least so many words, cut at white space, between them and the opening one."""

    def spans(text: str) -> list[Span]:
        pairs = re.finditer(r"\(([^()]*)\)", text)
        return [(pair.end() - 1, pair.end()) for pair in pairs if len(pair[1].split()) >= n_words]

    return spans


def later_mentions(kind: str = "any") -> Truth:
    """Mentions of a Mr Name who is not the first: `again`, of those mentioned before; `last`, of the one mentioned last
    before."""

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
    """Words for these days of the week where 'called' with the same word stands before in the text; with `is_any`,
    with any such word."""

    def spans(text: str) -> list[Span]:
        called: set[str] = set()
        found = []
        for match in _DAY.finditer(text):
            if match[1]:
                called.add(match[2])
            elif match[2] in days and (match[2] in called or (is_any and called)):
                found.append(match.span(2))
        return found

    return spans


def after_odd_count(least: int = 1) -> Truth:
    """Exclamation marks with an odd number of semicolons before them, at least so many."""

    def spans(text: str) -> list[Span]:
        counts = [(match.span(), text.count(";", 0, match.start())) for match in re.finditer("!", text)]
        return [span for span, n in counts if n % 2 and n >= least]

    return spans


def sum_above(limit: int) -> Truth:
    """Two numbers joined by a plus sign whose sum is above the limit."""
    return lambda text: [m.span() for m in _SUM.finditer(text) if int(m[1]) + int(m[2]) > limit]


def dates_apart(n_days: int) -> Truth:
    """Two dates joined by 'to' that lie more than so many days apart."""
    return lambda text: [
        m.span()
        for m in _DATES.finditer(text)
        if abs((date.fromisoformat(m[2]) - date.fromisoformat(m[1])).days) > n_days
    ]


def list_of(n_members: int) -> Truth:
    """Lists in square brackets with at least so many members between their commas."""
    return lambda text: [m.span() for m in _LIST.finditer(text) if m[0].count(",") + 1 >= n_members]
