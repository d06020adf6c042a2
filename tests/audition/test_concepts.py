"""The planted features: their rules say what their words say, and the wrong explanation is wrong in the way stated."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autointerp.audition.concept import LEVEL_OF, LEVELS, Concept, Rule
from autointerp.audition.concepts import CONCEPTS, TOLD, chosen, explanation, foreign_of, rule_of
from autointerp.audition.exam import EXAM_VERSION
from autointerp.audition.items import KINDS, SCRIPTS, draw_item
from autointerp.audition.plain_concepts import PLAIN
from autointerp.audition.planting import _iter_texts
from autointerp.audition.texts import read_passages
from autointerp.judges.judge import Message, Request
from autointerp.judges.offline.scripted import literal
from autointerp.judges.tasks import Passage, ScoreTask
from autointerp.seeds import stream

EXAMPLES = {
    "arabic": (["x شمس y"], ["x שמש y", "sun"]),
    "hebrew": (["x אבג y"], ["x شمس y"]),
    "greek": (["λόγος"], ["слово"]),
    "cyrillic": (["слово", "Слово"], ["λόγος"]),
    "armenian": (["բառ"], ["სიტყვა"]),
    "accents": (["café", "über"], ["cafe"]),
    "year": (["in 1999"], ["in 19999", "in 199", "x1999", "in 1999."]),
    "prefixed_hex": (["at 0xFF"], ["at FF", "0x"]),
    "hex_run": (["d41d8cd98f00b204"], ["d41d8cd98f00b20g4", "d41d8"]),
    "base64": (["SGVsbG8gd29ybGQhIQ=="], ["SGVsbG8gd29ybGQhISEh"]),
    "dna": (["ACGTTGCA"], ["ACGTTGCAX", "ACGT"]),
    "secure_url": (["https://a.b/c"], ["http://a.b/c"]),
    "email": (["a.b@c.org"], ["a at c.org", "@c.org"]),
    "iso_date": (["2021-03-15"], ["15/03/2021"]),
    "version": (["3.11.2"], ["3.11"]),
    "clock": (["12:30:45"], ["12:30"]),
    "money": (["$20", "$20.50"], ["20"]),
    "path": (["in /usr/lib now"], ["and/or", "a/b/c"]),
    "closing_parenthesis": (["f(x)"], ["(x"]),
    "contraction": (["it isn't", "it isn’t"], ["it's", "n't"]),
    "after_full_stop": (["Stop. Then", "Stop.\nThen"], ["Then stop. then"]),
    "capitals": (["an URL"], ["an Url", "I"]),
    "dunder": (["x.__init__()"], ["_x", "__x"]),
    "hyphenated": (["well-known"], ["a - b", "x-1"]),
    "colon_at_end": (["if x:\ny"], ["x: y", "x:"]),
    "quoted_word": (['the "word" is'], ['the "two words" are']),
    "index": (["x[0]", "x[-1]"], ["x[i]"]),
    "not_before_comma": (["do not go, he said"], ["so, do not go", "not to go, so"]),
    "parenthesis_and_capital": (["f(A)"], ["f(a)"]),
    "the_before_vowel": (["the end", "The\nold"], ["the sea"]),
    "return_constant": (["return None"], ["None: return x", "return x or None"]),
    "url_with_digit": (["http://a.b/c1"], ["http://a.b/c 1"]),
    "greek_and_number": (["αβγ 12"], ["αβγ", "12 αβγ"]),
    "is_before_not": (["it is not"], ["it is", "is it not", "this not"]),
    "as_after_such": (["such as"], ["as such", "as"]),
    "of_the": (["of the"], ["of a"]),
    "an": (["an egg", "An egg"], ["a hen", "and"]),
    "self_dot": (["self.x"], ["(self, x)", "myself."]),
    "double_equals": (["a == b"], ["a = b", "a === b", "====="]),
    "to_be": (["to be"], ["to bed", "to go"]),
    "even_number": (["12", "4"], ["13", "x2", "1.2"]),
    "doubled_vowel": (["book"], ["hello"]),
    "same_ends": (["that", "a level b"], ["this", "aa", "that,"]),
    "comma_before_and": ([", and", ", or"], [", but", " and"]),
    "ed_at_pause": (["he stopped. So"], ["he stopped here", "he stopped.x"]),
    "ing": (["string", "going"], ["ringed"]),
    "third_argument": (["f(a, b, c)"], ["f(a, b, c=1)", "def f(a, b, c): pass", "x = (a, b, c)", "f(a, g(b, c))"]),
    "unused_parameter": (["def f(a, b):\n    return a"], ["def f(a):\n    return a", "f(a)"]),
    "default_value": (
        ["def f(a=1): pass", "lambda *, a='x': a"],
        ["def f(a=None): g(a=1)", "def f(a): a = 1", "# def f(a=1): pass"],
    ),
    "return_in_loop": (
        ["def f(a):\n    for b in a:\n        return b"],
        ["def f(a):\n    for b in a:\n        pass\n    return b", "for a in b:\n    def f():\n        return 1"],
    ),
    "parameter_in_f_string": (
        ["def f(a):\n    return f'{a}'", "def f(a):\n    return f'{a!r}'"],
        ["def f(a):\n    return '{a}'", "def f(a):\n    return f'{b}'", "def f(a):\n    return f'{{a}} {a.b}'"],
    ),
    "inner_function": (
        ["def f():\n    def g(): pass"],
        ["class A:\n    def g(self): pass", "def f(): pass\ndef g(): pass"],
    ),
    "comment_in_loop": (
        ["while a:\n    b()  # here"],
        ["while a:\n    # here\n    b()", "b()  # here\nwhile a:\n    b()", "while a:\n    b('#')"],
    ),
    "country": (["in Deutschland now", "Norwegen"], ["auf Deutsch", "in Germanyx", "Oktober"]),
    "currency": (["a Swiss franc", "Japanischer Yen"], ["Japan", "a yard"]),
    "month": (["Oktober", "in febbraio"], ["Montag", "hour"]),
    "language": (["auf Schwedisch", "hollanti"], ["Ruotsi", "Sweden"]),
    "length": (["zwei Kilometer", "inches"], ["kilograms", "Stunden"]),
    "called_weekday": (
        ["someone called Friday met Friday"],
        ["someone called Friday", "someone called Friday on Monday", "Friday, someone called Friday"],
    ),
    "open_bracket": (["(a b c d e f g h 12)"], ["(a b c 12)", "(a b) c d e f g h i 12", "( a b) (c d e f g 12)"]),
    "open_quotation": (["“a b c d e f g h 12”"], ["“a 12 b”", "“a b c” d e f g h 12"]),
    "second_mention": (["Mr Reed, Mr Vale and Mr Reed"], ["Mr Reed and Mr Vale", "Mr Reed and Reed"]),
    "odd_count": (["a; b!", "a; b; c; d!"], ["a; b; c!", "a!", "a!; b"]),
    "sum": (["60 + 41"], ["60 + 40"]),
    "dates_apart": (["2021-01-01 to 2021-03-03"], ["2021-01-01 to 2021-03-02"]),
    "long_bracket": (["(a b c d e f g h i j k l)"], ["(a b c d e f g h i j k)"]),
    "long_list": (["[1, 2, 3, 4, 5, 6]"], ["[1, 2, 3, 4, 5]", "1, 2, 3, 4, 5, 6"]),
    "country_or_odd_count": (["Norwegen", "a; b!"], ["ruotsalainen", "a; b; c!"]),
    "month_or_sum": (["lokakuu", "51 + 50"], ["50 + 50"]),
    "language_or_second_mention": (["auf Finnisch", "Mr Reed, Mr Reed"], ["Mr Reed, Mr Vale"]),
    "currency_or_dates_apart": (["Swiss franc", "2021-01-01 to 2021-04-01"], ["2021-01-01 to 2021-01-02"]),
}
AMBIGUOUS = {
    "even_number": ["08:56", "utf-8", "IPv4", "4.6e+0", "QUJD12==", "3.12", "1,200", "x[2]"],
    "year": ["2021-03-15", "1999,", "dG8x2024=="],
    "hyphenated": ["utf-8", "well-known-fact", "x86-64", "2021-03-15"],
    "clock": ["2021-03-15T08:56:10", "08:56:10.5"],
    "version": ["v3.11.2", "3.11.2rc1"],
    "after_full_stop": ["os.Path", "e.g. this"],
    "ed_at_pause": ["parsed.netloc", "named.Tuple"],
}
"""Strings in which a number, a hyphened word or the end of a sentence may be seen or not: here it is not."""


@pytest.mark.parametrize("concept", CONCEPTS, ids=lambda concept: concept.name)
def test_a_rule_says_what_its_words_say(concept: Concept) -> None:
    firing, silent = EXAMPLES[concept.name]
    assert [text for text in firing if not concept.right.fires(text)] == []
    assert [text for text in silent if concept.right.fires(text)] == []


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_what_is_part_of_something_else_does_not_count(name: str) -> None:
    rule = next(concept.right for concept in CONCEPTS if concept.name == name)
    assert [text for text in AMBIGUOUS[name] if rule.fires(f"see {text} there")] == []


def test_what_an_exam_says_changes_with_its_version_only() -> None:
    texts = "\n".join(explanation(concept, told) for concept in CONCEPTS for told in TOLD)
    assert (EXAM_VERSION, hashlib.blake2b(texts.encode(), digest_size=4).hexdigest()) == (2, "84d7a1a0")


def test_concepts_differ_and_cover_all_families() -> None:
    assert len({concept.name for concept in CONCEPTS}) == len(CONCEPTS) >= 40
    assert len({explanation(concept, "right") for concept in CONCEPTS}) == len(CONCEPTS)
    assert {concept.family for concept in CONCEPTS} == set(LEVEL_OF)
    assert [concept.level for concept in chosen(12)] == [*LEVELS] * 4
    assert chosen(12) == chosen(24)[:12]
    assert {concept.level for concept in chosen(99, ("hard",))} == {"hard"}
    assert set(chosen(len(CONCEPTS))) == set(CONCEPTS)
    assert all(set(concept.plants) <= set(KINDS) for concept in CONCEPTS)


@pytest.mark.parametrize("concept", CONCEPTS, ids=lambda concept: concept.name)
def test_the_wrong_explanation_errs_as_stated(concept: Concept) -> None:
    rng = stream(0, "test", concept.name)
    if concept.surface is not None:
        texts = [text for _, text in islice(_iter_texts(concept, rng, set()), 400)]
    else:
        texts = [passage.text for passage in read_passages()[::40]]
        texts += [f"{text[:60]} {draw_item(kind, rng)} {text[60:]}" for kind in concept.plants for text in texts[:200]]
    says = {(concept.right.fires(text), concept.wrong.fires(text)) for text in texts}
    assert ((True, False) in says) == (concept.wrong_is == "narrower")
    assert ((False, True) in says) == (concept.wrong_is == "broader")
    assert (True, True) in says


def test_the_foreign_explanation_is_of_another_family_and_each_is_used_once() -> None:
    foreign = [foreign_of(concept) for concept in CONCEPTS]
    assert all(a.family != b.family for a, b in zip(CONCEPTS, foreign, strict=True))
    assert len({concept.name for concept in foreign}) == len(CONCEPTS)


def test_no_explanation_gives_its_rule_away_in_plain_words() -> None:
    for concept in CONCEPTS:
        for told in TOLD:
            text = explanation(concept, told)
            assert (rule_of(concept, told).pattern or "\n") not in text
            assert re.match(r"The feature fires on .+\.$", text)


PASSAGES = st.builds(
    lambda text, a, b: Passage(text, None if a is None else (min(a, b) % (len(text) + 1), len(text))),
    st.sampled_from([passage.text for passage in read_passages()[::400]]),
    st.one_of(st.none(), st.integers(0, 100)),
    st.integers(0, 100),
)


@given(concept=st.sampled_from(PLAIN), told=st.sampled_from(TOLD), passage=PASSAGES)
def test_the_judge_literal_and_the_rule_say_the_same(concept: Concept, told: str, passage: Passage) -> None:
    """`literal` reads the rule from the words and applies it with code of its own."""
    import asyncio

    task = ScoreTask(explanation(concept, told, "rule"), (passage,))  # type: ignore[arg-type]
    reply = asyncio.run(literal().ask(Request(task, (Message("user", ""),), max_tokens=10)))
    assert (reply.text == "[1]") == rule_of(concept, told).holds(passage)  # type: ignore[arg-type]


def test_of_several_marks_at_least_half_have_to_be_right() -> None:
    rule = Rule("the letter a", "a")
    assert rule.holds(Passage("ab", marks=((0, 1), (1, 2))))
    assert not rule.holds(Passage("abb", marks=((0, 1), (1, 2), (2, 3))))


@pytest.mark.parametrize("script", SCRIPTS)
def test_letters_are_of_the_script_named(script: str) -> None:
    for first, last in SCRIPTS[script]:
        for code in range(first, last + 1):
            name = unicodedata.name(chr(code))
            assert name.startswith(script.upper()), name
            assert "LETTER" in name


def test_passages_are_whole_and_the_same_every_time() -> None:
    passages = read_passages()
    assert len({passage.text for passage in passages}) == len(passages) > 10_000
    assert len({passage.name for passage in passages}) == len(passages)
    read_passages.cache_clear()
    assert read_passages() == passages


def test_a_python_without_sources_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    from autointerp.audition import texts
    from autointerp.errors import InputError

    monkeypatch.setattr(texts, "_iter_documents", lambda: iter([]))
    read_passages.cache_clear()
    with pytest.raises(InputError, match=r"use a Python that is installed with its \.py files"):
        read_passages()
    monkeypatch.undo()
    read_passages.cache_clear()
