"""A reply as it is written, token by token, and the last line that it may have to end in."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Literal

from autointerp.judges.in_process.chat_tokens import ChatTokens

__all__ = ["Ending", "Writing"]

Pick = Callable[[Callable[[int], bool]], tuple[int, dict[int, float]]]
"""Chooses a token that is not refused, with the log-probabilities to keep."""


@dataclass(frozen=True, slots=True)
class Ending:
    """A last line that begins with `tag` and has at most `n_line` tokens.

    Where the model stops without it or has written `n_free` tokens, `spell(text so far)` is written for it.
    """

    tag: str
    spell: Callable[[str], list[int]]
    n_free: int
    n_line: int


@dataclass(slots=True)
class Writing:
    """Tokens after one prompt; only `n_tokens` counts the end token.

    `logprobs`: per token, of the likeliest tokens and itself; empty for one written for the model. `line`: text after
    the ending's tag.
    """

    tokens: ChatTokens
    end_ids: Collection[int | None]
    max_tokens: int
    ending: Ending | None = None
    ids: list[int] = field(default_factory=list)
    logprobs: list[dict[int, float]] = field(default_factory=list)
    n_tokens: int = 0
    finish: Literal["stop", "length"] | None = None
    line: str | None = None
    _text: str = ""
    _given: list[int] = field(default_factory=list)
    _n_line: int = 0

    def extend(self, pick: Pick) -> int:
        """Write a token and return it."""
        lacking = self.ending if self.line is None else None
        if lacking is not None and not self._given and self.n_tokens >= lacking.n_free:
            self._given = lacking.spell(self._text)
        if not self._given:
            token, seen = pick(self._is_refused)
            if token not in self.end_ids:
                self._append(token, seen)
                return token
            if lacking is None:
                self.n_tokens += 1
                self.finish = "stop"
                return token
            self._given = lacking.spell(self._text)
        token = self._given.pop(0)
        self._append(token, {})
        if not self._given and self.line is None:
            self.line = ""
        return token

    def _append(self, token: int, seen: dict[int, float]) -> None:
        self.n_tokens += 1
        self.ids.append(token)
        self.logprobs.append(seen)
        text = self.tokens.token_text(token)
        if self.n_tokens >= self.max_tokens:
            self.finish = "length"
        if self.ending is None:
            return
        self._text += text
        if self.line is not None:
            self.line += text
            self._n_line += 1
            if "\n" in text:
                self.finish = "stop"
            elif self._n_line >= self.ending.n_line:
                self.finish = "length"
        elif not self._given and self.ending.tag in self._text:
            self.line = self._text.rpartition(self.ending.tag)[2]

    def _is_refused(self, token: int) -> bool:
        """The last line is not left empty."""
        if self.line is None or self.line.strip():
            return False
        return token in self.end_ids or not self.tokens.token_text(token).strip()
