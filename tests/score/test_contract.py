"""The kit of scorers finds each breach, that breach and no other; the built-in scorers pass it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from autointerp.builtin_plugins import BUILTIN
from autointerp.judges.judge import Message, Reply
from autointerp.plugins import load_plugin
from autointerp.records.evidence import Evidence
from autointerp.score.contract import check_scorer
from autointerp.score.listing import ListScorer
from autointerp.score.sampling import sample_items
from autointerp.score.scorer import AnswerRead, Item, Question, Scale, Unscorable


class Fine(ListScorer):
    """Keeps the contract; tests break it in one place each."""

    def __init__(self, settings: Any, score: Any) -> None:
        super().__init__(settings, score, prompt="detection", has_marks=False)
        self.settings = settings


class Unlabelled(Fine):
    name = "detection"  # type: ignore[assignment]


class Nameless(Fine):
    name = ""  # type: ignore[assignment]


class Unhashed(Fine):
    prompt_hash = ""  # type: ignore[assignment]


Sampled = tuple[Item, ...] | Unscorable


def sampling(change: Callable[[tuple[Item, ...], Evidence], Sequence[Item]]) -> type[Fine]:
    class Changed(Fine):
        def sample(self, evidence: Evidence, rng: np.random.Generator, *, others: Sequence[Evidence]) -> Sampled:
            items = super().sample(evidence, rng, others=others)
            return items if isinstance(items, Unscorable) else tuple(change(items, evidence))

    return Changed


def asking(change: Callable[[Sequence[Question]], Sequence[Question]]) -> type[Fine]:
    class Changed(Fine):
        def questions(self, explanation: str, items: Sequence[Item]) -> tuple[Question, ...]:
            return tuple(change(super().questions(explanation, items)))

    return Changed


def reading(change: Callable[[Question, Reply, Sequence[AnswerRead]], Sequence[AnswerRead]]) -> type[Fine]:
    class Changed(Fine):
        def read(self, question: Question, reply: Reply) -> Any:
            return change(question, reply, super().read(question, reply))

    return Changed


def adds_shown(items: tuple[Item, ...], evidence: Evidence) -> list[Item]:
    return [*items, Item(evidence.select("explain", "top")[0], "top", True)]


def adds_repeated(items: tuple[Item, ...], evidence: Evidence) -> list[Item]:
    return [*items, Item(next(w for w in evidence.select("score") if w.document == "trap"), "top", True)]


def sorts_by_label(items: tuple[Item, ...], _: Evidence) -> list[Item]:
    return sorted(items, key=lambda item: item.is_firing)


class Ambient(Fine):
    """Draws from a generator of its own."""

    _GENERATOR = np.random.default_rng(0)

    def sample(self, evidence: Evidence, rng: np.random.Generator, *, others: Sequence[Evidence]) -> Sampled:
        return sample_items(evidence, self.settings, self._GENERATOR, others=others)


class Padding(Fine):
    """Scores a feature with whatever is there."""

    def sample(self, evidence: Evidence, rng: np.random.Generator, *, others: Sequence[Evidence]) -> Sampled:
        items = super().sample(evidence, rng, others=others)
        windows = evidence.select("score", "random", "near_miss")[:14]
        return tuple(Item(w, w.kind, False) for w in windows) if isinstance(items, Unscorable) else items


def with_hint(questions: Sequence[Question]) -> list[Question]:
    """Tells the judge how many windows fire."""

    def hinted(question: Question) -> Question:
        n = sum(item.is_firing for item in question.items)
        said = Message("user", f"{n} of them fire.")
        return replace(question, request=replace(question.request, messages=(*question.request.messages, said)))

    return [hinted(question) for question in questions]


def with_document(questions: Sequence[Question]) -> list[Question]:
    return [
        replace(q, request=replace(q.request, messages=(Message("user", q.items[0].window.document),)))
        for q in questions
    ]


def wordless(questions: Sequence[Question]) -> list[Question]:
    return [replace(q, request=replace(q.request, messages=(Message("user", " "),))) for q in questions]


def shifted(_: Question, __: Reply, answers: Sequence[AnswerRead]) -> Sequence[AnswerRead]:
    return [*answers[1:], *answers[:1]]


def filled_up(_: Question, __: Reply, answers: Sequence[AnswerRead]) -> Sequence[AnswerRead]:
    return [AnswerRead("silent") if answer.answer == "unparsed" else answer for answer in answers]


def dropped(_: Question, __: Reply, answers: Sequence[AnswerRead]) -> Sequence[AnswerRead]:
    return [answer for answer in answers if answer.answer != "unparsed"]


def deaf_to_refusals(_: Question, reply: Reply, answers: Sequence[AnswerRead]) -> Sequence[AnswerRead]:
    return [AnswerRead("unparsed")] * len(answers) if reply.finish == "refused" else answers


def asking_again(again: Callable[[Question, Sequence[Reply]], Any]) -> type[Fine]:
    class Changed(Fine):
        def reask(self, question: Question, replies: Sequence[Reply]) -> Any:
            return again(question, replies)

    return Changed


def about_less(question: Question, replies: Sequence[Reply]) -> Any:
    task = replace(question.request.task, passages=())
    return replace(question.request, task=task) if len(replies) < 2 else None


def about_all(question: Question, replies: Sequence[Reply]) -> Any:
    """Asks again whatever came."""
    return replace(question.request, max_tokens=77) if len(replies) < 2 else None


def too_sure(_: Question, __: Reply, answers: Sequence[AnswerRead]) -> Sequence[AnswerRead]:
    return [a._replace(probability=1.5) if a.answer == "fires" else a for a in answers]


NAMED = "it has a name, a label and a prompt's hash"
SAMPLES = "it samples held-out windows, each once"
ONCE = "each window is asked about exactly once"
LEAKS = "no label leaks into a request"
OWN = "each answer goes to its window"
AGAIN = "asking again stays with the question"
FITS = "a reply that does not fit is never filled up"
BREACHES: list[tuple[type[Fine], str, str]] = [
    (Unlabelled, NAMED, "with the label 'a label'"),
    (Nameless, NAMED, "its name is ''"),
    (Unhashed, NAMED, "prompt_hash is ''"),
    (sampling(adds_shown), SAMPLES, "of the role explain"),
    (sampling(adds_repeated), SAMPLES, "repeats the text of one that an explainer"),
    (sampling(lambda items, _: [i._replace(is_firing=not i.is_firing) for i in items]), SAMPLES, "is labelled"),
    (sampling(lambda items, _: [i for i in items if i.is_firing]), SAMPLES, "the same label"),
    (Ambient, "windows depend on the random stream alone", "different windows"),
    (sampling(sorts_by_label), "their order tells no label", "shuffle them"),
    (Padding, "too few windows are said, not filled up", "must be Unscorable (too_few_positives)"),
    (asking(lambda questions: questions[:-1] or questions), ONCE, "are not asked about"),
    (asking(wordless), ONCE, "without words"),
    (asking(with_hint), LEAKS, "no judge may know"),
    (asking(with_document), LEAKS, "no judge may know"),
    (reading(shifted), OWN, "was read as"),
    (reading(too_sure), OWN, "1.5"),
    (reading(filled_up), FITS, "was read as an answer"),
    (reading(dropped), FITS, "0 answers were read for"),
    (reading(deaf_to_refusals), FITS, "a refused reply"),
    (asking_again(about_less), AGAIN, "another task"),
    (asking_again(about_all), AGAIN, "after a reply that fits"),
    (asking_again(lambda question, _: question.request), AGAIN, "the same as before"),
    (asking_again(lambda question, _: replace(question.request, max_tokens=77)), AGAIN, "after 10 replies"),
]


def failed(factory: Any, name: str = "detection") -> dict[str, str]:
    return {result.name: result.detail for result in check_scorer(factory, name) if result.is_passed is False}


@pytest.mark.parametrize("name", sorted(BUILTIN["autointerp.scorers"]))
def test_the_builtin_scorers_keep_the_contract(name: str) -> None:
    results = check_scorer(load_plugin("autointerp.scorers", name), name)
    assert not [result for result in results if result.is_passed is False], results
    assert len(results) == 10


def test_a_scorer_of_another_scale_is_not_asked_what_makes_no_sense_for_it() -> None:
    class Choosing(Fine):
        scale = Scale("choices", chance=0.25)  # type: ignore[assignment]

    found = check_scorer(Choosing, "detection")
    assert {r.name for r in found if r.is_passed is None} == {"their order tells no label", LEAKS, OWN}
    assert not [r for r in found if r.is_passed is False]


def test_a_scorer_that_never_asks_again_need_not() -> None:
    class Once(Fine):
        def reask(self, question: Question, replies: Sequence[Reply]) -> None:
            return None

    assert {r.name for r in check_scorer(Once, "detection") if r.is_passed is None} == {AGAIN}


@pytest.mark.parametrize(("factory", "name", "detail"), BREACHES, ids=[f"{n}-{b[1]}" for n, b in enumerate(BREACHES)])
def test_each_breach_is_found_and_no_other(factory: type[Fine], name: str, detail: str) -> None:
    found = failed(factory)
    assert set(found) == {name}, found
    assert detail in found[name]


def test_a_window_that_stands_twice_is_found() -> None:
    twice = sampling(lambda items, _: [*items, items[0]])
    assert "stands twice" in failed(twice)[SAMPLES]
    again = asking(lambda questions: [*questions, questions[0]])
    assert "more than once" in failed(again)[ONCE]


def test_every_check_has_a_scorer_that_fails_it() -> None:
    assert {name for _, name, _ in BREACHES} == {result.name for result in check_scorer(Fine, "detection")}


def test_another_name_than_the_registered_one_is_found() -> None:
    assert failed(lambda settings, score: Fine(settings.model_copy(update={"label": "x"}), score), "detection")


def test_whatever_a_scorer_raises_is_a_finding() -> None:
    def broken(settings: Any, score: Any) -> Any:
        raise ZeroDivisionError("no")

    place = f"{__file__}:{broken.__code__.co_firstlineno + 1} in broken"
    for said in failed(broken).values():
        assert said.startswith(f"raised what is no error of this package: ZeroDivisionError: no, {place}")
