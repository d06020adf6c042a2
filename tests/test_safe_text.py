"""What others wrote is made safe in one place: keys are taken out, steering characters spelled, JSON stays JSON."""

from __future__ import annotations

import json

import pytest

from autointerp import safe_text as safe
from autointerp.errors import JudgeRetry, PluginError
from autointerp.safe_text import csv_cell, remember_key, safe_line, safe_text, safe_tree, without_keys_in_use

ODD_KEY = "no usual shape 4711"


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(safe, "_keys_in_use", set())


@pytest.mark.parametrize(
    "key",
    [
        "sk-abcdefghijklmnop",
        "sk_live_1234567890",
        "gsk_abcdefgh12345678efgh",
        "hf_AbCdEfGhIjKlMnOp",
        "AIzaSyA-1234567890",
        "ghp_abcdefgh12345678",
        "Bearer abc.def-123",
        "Authorization: Basic dXNlcjpwYXNz",
        "eyJhbGciOiJI.eyJzdWIiOiIx.c2lnbmF0dXJl",
        "me:secret",
    ],
)
def test_what_looks_like_a_key_is_taken_out(key: str) -> None:
    text = f"the server said //{key}@host, no more"
    assert key not in safe_text(text)
    assert safe_text(text).startswith("the server said //***")


@pytest.mark.parametrize(
    "text",
    [
        "task-specific",
        "Basic information",
        "hf_model_name",
        "xai-benchmarks",
        "sk-learn",
        "http://host:80/x@y",
        "risk-",
        "hf_datasets",
    ],
)
def test_ordinary_words_stay(text: str) -> None:
    assert safe_text(text) == text


def test_a_key_in_use_is_taken_out_whatever_it_looks_like() -> None:
    assert ODD_KEY in without_keys_in_use(ODD_KEY)
    remember_key(ODD_KEY)
    remember_key("none")
    assert without_keys_in_use(f"none has {ODD_KEY}") == "none has ***"
    assert str(JudgeRetry(f"the code is {ODD_KEY}")) == "the code is ***"


def test_a_key_of_the_environment_is_taken_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", "0123456789abcdef")
    monkeypatch.setenv("OTHER_KEY", "features")
    assert without_keys_in_use("0123456789abcdef of features") == "*** of features"


@pytest.mark.parametrize(
    "steering", ["\x1b[2J", "\x1b]0;title\x07", "\r", "\x9b2J", "\x00", "\u202e", "\u2066", "\x7f"]
)
def test_steering_characters_are_spelled_and_json_stays_what_it_was(steering: str) -> None:
    text = f"before{steering}after"
    assert not set(steering) & set("\x1b\x07\r\x9b\x00\u202e\u2066\x7f") & set(safe_text(text))
    content = json.dumps({"text": text}, ensure_ascii=False)
    assert json.loads(safe_text(content)) == {"text": text}


def test_line_feeds_and_tabs_stay_in_a_text_and_not_in_a_line() -> None:
    assert safe_text("a\n\tb") == "a\n\tb"
    assert safe_line("  a \r\n\r\n b\tc\n") == "  a b c"
    assert safe_line("two  spaces of a path") == "two  spaces of a path"


def test_only_colours_of_ours_reach_a_terminal() -> None:
    text = "\x1b[1mF1\x1b[0m \x1b[2J"
    assert safe_text(text, has_colour=True) == "\x1b[1mF1\x1b[0m \\u001b[2J"
    assert "\x1b" not in safe_text(text)


def test_every_string_of_a_tree_is_made_safe() -> None:
    assert safe_tree({"a\x1b": ["b\x1b", {"c": "\x1b"}], "n": 1}) == {
        "a\\u001b": ["b\\u001b", {"c": "\\u001b"}],
        "n": 1,
    }


def test_an_error_is_one_safe_line() -> None:
    said = "it broke\n\x1b]0;owned\x07 with sk-abcdefghijklmnop"
    assert str(PluginError(said)) == "it broke \\u001b]0;owned\\u0007 with ***"


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1"])
def test_a_formula_is_a_text_in_a_spreadsheet(text: str) -> None:
    assert csv_cell(text) == f"'{text}"
    assert csv_cell("f=1") == "f=1"
    assert csv_cell(-0.5) == -0.5
