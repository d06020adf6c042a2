from __future__ import annotations

from dataclasses import replace

from autointerp.judges.judge import Message, Reply, Request
from autointerp.judges.tasks import ScoreTask
from autointerp.prompting.reasking import reask
from autointerp.prompting.templates import load_prompt

ASKED = Request(
    task=ScoreTask("e", ()),
    messages=(Message("system", "rules"), Message("user", "windows")),
    max_tokens=9,
    temperature=0.5,
    seed=3,
    reply_schema={"type": "object"},
    want_logprobs=True,
    sample=2,
)
PROMPT = load_prompt("score/reask")


def ask_again(*texts: str) -> Request:
    replies = [Reply(text, "m") for text in texts]
    return reask(
        ASKED,
        replies,
        prompt=PROMPT,
        describe=lambda r: {"n_answers": 4, "noun": "windows", "problem": f"it was {len(r.text)} long"},
    )


def test_the_conversation_goes_on_and_nothing_else_changes() -> None:
    again = ask_again("well, maybe")
    assert again.messages[:2] == ASKED.messages
    assert [message.role for message in again.messages[2:]] == ["assistant", "user"]
    assert again.messages[2].content == "well, maybe"
    assert "it was 11 long" in again.messages[3].content
    assert "all 4 of them" in again.messages[3].content
    assert replace(again, messages=ASKED.messages) == ASKED


def test_every_reply_is_kept_in_order() -> None:
    again = ask_again("first", "second")
    assert [m.content for m in again.messages if m.role == "assistant"] == ["first", "second"]
    assert again.messages[: len(ask_again("first").messages)] == ask_again("first").messages


def test_a_long_reply_is_repeated_in_part_and_reasoning_not_at_all() -> None:
    long = ask_again("<think>" + "t" * 9000 + "</think>a" + "b" * 50_000 + "c").messages[2].content
    assert len(long) < 2100
    assert (long[0], long[-1]) == ("a", "c")
    assert "[...]" in long
    assert "t" not in long


def test_an_empty_reply_is_repeated_as_a_word() -> None:
    """Several servers refuse an empty message, or two of the user's in a row."""
    for text in ("", " \n", "<think>and thought"):
        assert ask_again(text).messages[2].content == "(nothing)"
