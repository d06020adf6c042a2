"""Judge `pattern`: no language model, no cost. It explains a feature by a pattern of tokens and predicts with it.

Neuron2Graph's idea (Foote et al. 2023): a list of tokens, each with an optional token that has to stand before it,
checked within the windows given (see `pattern_learning`). The explanation is plain text that a person can read and
that any judge can apply; this judge reads it back:

    [EXPLANATION]: fires on " return" (10), on -"ing" (7), on ":" directly after ")" (4), on "x" soon after "def" (2)

Strings are JSON strings. A hyphen before or after one says that the word goes on there, a tilde that it may, and
neither that it may not; a side on which the token itself ends in no letter or digit needs no sign. "directly after"
means touching, "soon after" as a word within the 40 characters before. The number is the mean strength, 10 the highest.

An explanation that holds no such pattern (by a person or a language model) is matched by its quoted strings, else by
its words of four letters and more, stop words aside: any of them standing in the passage counts. So read scores of
`pattern` on foreign explanations as what word matching reaches, no more.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from autointerp.errors import ConfigError
from autointerp.judges.protocol import Capabilities, Reply, Request
from autointerp.judges.tasks import Passage, ScoreTask

__all__ = ["NEAR_CHARACTERS", "Element", "PatternJudge", "open_judge", "parse_pattern", "render_pattern"]

ALGORITHM = 1
"""Part of every cache key: raise it when the same task would be answered differently."""

NEAR_CHARACTERS = 40
"""How far before a token its `soon after` context may begin."""

Join = Literal["-", "~", ""]
"""How a token meets its neighbour: the word goes on, may go on, or ends there."""

_STRING = r'"(?:[^"\\]|\\.)*"'
_ELEMENT = re.compile(rf"\bon ([-~]?)({_STRING})([-~]?)(?: (directly|soon) after ({_STRING}))?(?: \((\d+)\))?")
_QUOTED = re.compile(r"\"([^\"]+)\"|“([^”]+)”|`([^`]+)`|(?<!\w)'([^']+)'(?!\w)")
_WORD = re.compile(r"[^\W\d_]{4,}")
_NEAR_WORD = re.compile(r"\w{2,}")
_STOP_WORDS = frozenset(
    """about above after also before being between both does each else ever every feature features fire fired fires
    firing from have here into language letter letters like many mark marked model more most near often only other over
    part phrase phrases such some sometimes strongly text texts than that their them then there these they this those
    token tokens under used using usually very well when where which while window windows with within word words
    """.split()  # noqa: SIM905  # a list of quoted words would hide them
)


@dataclass(frozen=True, slots=True)
class Element:
    """One token of a pattern. `strength` is 1 to 10; `context` has to stand before it, touching or near."""

    token: str
    left: Join = ""
    right: Join = ""
    context: str | None = None
    is_near: bool = False
    strength: int = 10

    def matches_at(self, text: str, start: int, end: int) -> bool:
        """Whether the token at `text[start:end]` stands where it is wanted; the token itself is not compared."""
        if self.context is None:
            return True
        if self.is_near:
            return self.context in near_words(text, start)
        return text.endswith(self.context, 0, start)

    def matches_mark(self, text: str, span: tuple[int, int]) -> bool:
        """Whether the marked token is this one. A token that holds part of a character is marked with all of it."""
        marked = text[span[0] : span[1]]
        widened = len(marked) == len(self.token) + 1 and not marked.isascii() and marked.endswith(self.token)
        return (marked == self.token or (bool(self.token) and widened)) and self.matches_at(text, *span)

    def matches_text(self, text: str) -> bool:
        """Whether the token occurs anywhere in the text, its sides as the pattern wants them."""
        start = text.find(self.token) if self.token else -1
        while start >= 0:
            end = start + len(self.token)
            is_whole = _fits(text, start - 1, start, self.left) and _fits(text, end - 1, end, self.right)
            if is_whole and self.matches_at(text, start, end):
                return True
            start = text.find(self.token, start + 1)
        return False


def _fits(text: str, before: int, after: int, join: Join) -> bool:
    """Whether the seam between two neighbouring characters is as `join` says; the text's edge fits anything."""
    if join == "~" or before < 0 or after >= len(text):
        return True
    return is_inside_word(text[before], text[after]) == (join == "-")


def near_words(text: str, start: int) -> set[str]:
    """The words of two characters and more in the stretch that a `soon after` context is looked for in."""
    return set(_NEAR_WORD.findall(text, max(0, start - NEAR_CHARACTERS), start))


def is_inside_word(before: str, after: str) -> bool:
    """Whether a word goes on from one character to the next."""
    return (before.isalnum() or before == "_") and (after.isalnum() or after == "_")


def render_pattern(elements: list[Element]) -> str:
    """The pattern as the explanation it is; `parse_pattern` reads it back."""
    parts = []
    for element in elements:
        part = f"on {element.left}{json.dumps(element.token, ensure_ascii=False)}{element.right}"
        if element.context is not None:
            where = "soon" if element.is_near else "directly"
            part += f" {where} after {json.dumps(element.context, ensure_ascii=False)}"
        parts.append(f"{part} ({element.strength})")
    return "fires " + ", ".join(parts)


def parse_pattern(explanation: str) -> list[Element]:
    """The elements of the pattern in an explanation; none when it holds no pattern."""
    if not explanation.lstrip().lower().startswith("fires on "):
        return []
    elements: list[Element] = []
    for left, token, right, where, context, strength in _ELEMENT.findall(explanation):
        try:
            before = json.loads(context, strict=False) if context else None
            element = Element(
                json.loads(token, strict=False), left, right, before, where == "soon", int(strength or 10)
            )
        except ValueError:
            continue
        if element.token:
            elements.append(element)
    return elements


class PatternJudge:
    """Answers explaining tasks with a learned pattern and scoring tasks by applying the one in the explanation."""

    capabilities = Capabilities(
        endpoint="builtin", model=f"pattern-{ALGORITHM}", is_local=True, uses_task=True, has_schema=True
    )

    async def ask(self, request: Request) -> Reply:
        """The reply to one request; it never fails."""
        task = request.task
        if isinstance(task, ScoreTask):
            text = json.dumps({"answers": predict(task)})
        else:
            from autointerp.judges.pattern_learning import learn_pattern

            elements = learn_pattern(task)
            text = f"[EXPLANATION]: {render_pattern(elements)}" if elements else "No token fires in these windows."
        return Reply(text=text, model=self.capabilities.model)

    async def aclose(self) -> None:
        """Nothing to release."""


def predict(task: ScoreTask) -> list[int]:
    """1 or 0 for each passage: does the pattern in the explanation match it?"""
    elements = parse_pattern(task.explanation)
    if elements:
        return [int(_matches(elements, passage)) for passage in task.passages]
    terms = _terms(task.explanation)
    return [int(_mentions(terms, passage)) for passage in task.passages]


def _matches(elements: list[Element], passage: Passage) -> bool:
    if passage.mark is None:
        return any(element.matches_text(passage.text) for element in elements)
    return any(element.matches_mark(passage.text, passage.mark) for element in elements)


def _terms(explanation: str) -> list[str]:
    """What to look for on behalf of an explanation in free prose: quoted strings, else its longer words."""
    quoted = [term for groups in _QUOTED.findall(explanation) for term in groups if term.strip()]
    if quoted:
        return quoted
    return [word for word in _WORD.findall(explanation) if word.lower() not in _STOP_WORDS]


def _mentions(terms: list[str], passage: Passage) -> bool:
    if passage.mark is not None:
        marked = passage.text[passage.mark[0] : passage.mark[1]].strip().lower()
        return bool(marked) and any(marked == term.strip().lower() for term in terms)
    text = passage.text.lower()
    return any(Element(term.lower(), left="", right="").matches_text(text) for term in terms)


def open_judge(model: str | None, options: Mapping[str, Any]) -> PatternJudge:
    """The judge `pattern`. Raises ConfigError for a model or an option: it has none."""
    if model:
        raise ConfigError(f"judge 'pattern:{model}': the judge 'pattern' has no models; write 'pattern'")
    if options:
        raise ConfigError(f"judges.pattern.{min(options)}: the judge 'pattern' has no options; remove it")
    return PatternJudge()
