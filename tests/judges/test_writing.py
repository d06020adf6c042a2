"""A reply as it is written: where it ends, and its last line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from autointerp.judges.in_process.chat_tokens import ChatTokens
from autointerp.judges.in_process.writing import Ending, Writing

END, WORDS = 0, ["", " a", " b", "\n", "[TAG]", ":", ".\n", " ", "</t>"]


class Tokens:
    def token_text(self, token: int) -> str:
        return WORDS[token]


def spell(text: str) -> list[int]:
    return [3, 4, 5] if text else [4, 5]


def write(
    wanted: list[int], *, max_tokens: int = 50, n_free: int | None = None, n_line: int = 5
) -> tuple[Writing, str]:
    """A model that wants these tokens and then always the last of them."""
    ending = None if n_free is None else Ending("[TAG]:", spell, n_free=n_free, n_line=n_line)
    writing = Writing(cast("ChatTokens", Tokens()), {END}, max_tokens, ending)
    left = iter(wanted)

    def pick(is_refused: Callable[[int], bool]) -> tuple[int, dict[int, float]]:
        token = next(left, wanted[-1])
        return (token, {token: -1.0}) if not is_refused(token) else (1, {1: -2.0})

    while writing.finish is None:
        writing.extend(pick)
    assert len(writing.ids) == len(writing.logprobs)
    return writing, "".join(WORDS[token] for token in writing.ids)


def facts(writing: Writing) -> tuple[Any, ...]:
    return writing.finish, writing.n_tokens, writing.line


def test_without_an_ending_a_reply_stops_at_its_end_token_or_its_limit() -> None:
    writing, text = write([1, 2, END])
    assert (text, *facts(writing)) == (" a b", "stop", 3, None)
    writing, text = write([1], max_tokens=4)
    assert (text, *facts(writing)) == (" a a a a", "length", 4, None)


def test_the_line_is_begun_where_the_model_stops_without_it() -> None:
    writing, text = write([1, END, 2, END], n_free=20)
    assert (text, *facts(writing)) == (" a\n[TAG]: b", "stop", 6, " b")
    assert writing.logprobs == [{1: -1.0}, {}, {}, {}, {2: -1.0}]


def test_the_line_is_begun_after_the_free_tokens() -> None:
    writing, text = write([1, 1, 1, 2, 3], n_free=2)
    assert (text, *facts(writing)) == (" a a\n[TAG]: a b\n", "stop", 8, " a b\n")
    writing, text = write([2, END], n_free=0)
    assert (text, *facts(writing)) == ("[TAG]: b", "stop", 4, " b")


def test_a_line_of_the_models_own_is_taken() -> None:
    writing, text = write([1, 4, 5, 2, 6, 1], n_free=20)
    assert (text, *facts(writing)) == (" a[TAG]: b.\n", "stop", 5, " b.\n")


def test_a_line_is_not_left_empty_and_is_cut_at_its_limit() -> None:
    writing, text = write([END, END, END], n_free=20)
    assert (text, *facts(writing)) == ("[TAG]: a", "stop", 4, " a")
    writing, text = write([4, 5, 7, 2], n_free=20, n_line=4)
    assert (text, *facts(writing)) == ("[TAG]: a b b b", "length", 6, " a b b b")
