"""The kit of explainers finds each breach, that breach and no other; the built-in explainers pass it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest

from autointerp.builtin_plugins import BUILTIN
from autointerp.config.asking import ExplainConfig, ExplainerConfig
from autointerp.explain.contract import check_explainer
from autointerp.explain.explainer import Reading, Round
from autointerp.explain.none import EmptyExplainer
from autointerp.explain.prompted import PromptedExplainer
from autointerp.explain.windows import WindowsSettings, show_windows
from autointerp.judges.judge import Message, Reply, Request
from autointerp.judges.tasks import ScoreTask
from autointerp.plugins import load_plugin
from autointerp.records.evidence import Evidence


class Fine(PromptedExplainer):
    """Keeps the contract; tests break it in one place each."""

    def __init__(self, settings: WindowsSettings, config: ExplainConfig) -> None:
        super().__init__(settings, config, prompt="windows", ask=partial(show_windows, settings))


class Unlabelled(Fine):
    name = "windows"  # type: ignore[assignment]


class Unhashed(Fine):
    prompt_hash = None  # type: ignore[assignment]


Requests = tuple[Request, ...]
Said = Requests | Reading


def requesting(change: Callable[[Requests, Evidence], Requests]) -> type[Fine]:
    class Changed(Fine):
        def requests(self, evidence: Evidence, rng: np.random.Generator) -> Requests:
            return change(super().requests(evidence, rng), evidence)

    return Changed


def reading(change: Callable[[Reply, Reading], Reading]) -> type[Fine]:
    class Changed(Fine):
        def read(self, replies: Sequence[Reply]) -> Reading:
            return change(replies[0], super().read(replies))

    return Changed


def saying(text: str, requests: Requests) -> Requests:
    return tuple(replace(r, messages=(*r.messages, Message("user", text))) for r in requests)


class Ambient(Fine):
    _GENERATOR = np.random.default_rng(0)

    def requests(self, evidence: Evidence, rng: np.random.Generator) -> Requests:
        return super().requests(evidence, self._GENERATOR)


def asking_again(again: Callable[[Request, Sequence[Reply]], Any]) -> type[Fine]:
    class Changed(Fine):
        def reask(self, request: Request, replies: Sequence[Reply]) -> Any:
            return again(request, replies)

    return Changed


def about_nothing(request: Request, _: Sequence[Reply]) -> Request:
    return replace(request, task=ScoreTask("", ()))


def about_all(request: Request, replies: Sequence[Reply]) -> Request | None:
    """Asks again whatever came."""
    return replace(request, max_tokens=77) if len(replies) < 2 else None


def insists(requests: Requests, evidence: Evidence) -> Requests:
    """Asks about silent windows where there is nothing else."""
    task = ScoreTask("", ())
    return requests or (Request(task, (Message("user", evidence.windows[0].text),), max_tokens=9),)


ASKS = "it asks about a feature that fires"
HELD_OUT = "held-out windows never enter a request"
AGAIN = "asking again stays with the question"
READS = "an explanation is read"
INVENTS = "a reply without one is never an explanation"
BREACHES: list[tuple[type[Fine], str, str]] = [
    (Unlabelled, "it has a name, a label and a prompt's hash", "with the label"),
    (Unhashed, "it has a name, a label and a prompt's hash", "prompt_hash is None"),
    (requesting(lambda found, _: tuple(replace(r, task=ScoreTask("", ())) for r in found)), ASKS, "ExplainTask"),
    (requesting(lambda found, _: tuple(replace(r, messages=()) for r in found)), ASKS, "without words"),
    (
        requesting(lambda found, e: saying(str(len(e.windows)), found) if found else ()),
        HELD_OUT,
        "scoring needs unseen",
    ),
    (
        requesting(lambda found, e: saying("".join(w.text for w in e.select("score", "bin")[:1]), found)),
        HELD_OUT,
        "scoring needs unseen",
    ),
    (Ambient, "requests depend on the random stream alone", "different requests"),
    (asking_again(about_nothing), AGAIN, "another task"),
    (asking_again(about_all), AGAIN, "with an explanation"),
    (asking_again(lambda request, _: request), AGAIN, "the same as before"),
    (asking_again(lambda request, _: replace(request, max_tokens=77)), AGAIN, "after 10 replies"),
    (requesting(insists), "no firing window, no question", "1 requests"),
    (reading(lambda _, read: replace(read, text=read.text and read.text[:5])), READS, "was read as"),
    (
        reading(lambda reply, read: read if read.text or reply.finish == "refused" else Reading("?")),
        INVENTS,
        "as the expl",
    ),
    (
        reading(lambda reply, read: replace(read, failure="unparsed") if not read.text else read),
        INVENTS,
        "refused reply",
    ),
]


def failed(factory: Any, name: str = "windows") -> dict[str, str]:
    return {result.name: result.detail for result in check_explainer(factory, name) if result.is_passed is False}


@pytest.mark.parametrize("name", sorted(BUILTIN["autointerp.explainers"]))
def test_the_builtin_explainers_keep_the_contract(name: str) -> None:
    results = check_explainer(load_plugin("autointerp.explainers", name), name)
    assert not [result for result in results if result.is_passed is False], results
    assert len(results) == 8


@pytest.mark.parametrize(("factory", "name", "detail"), BREACHES, ids=[f"{n}-{b[1]}" for n, b in enumerate(BREACHES)])
def test_each_breach_is_found_and_no_other(factory: type[Fine], name: str, detail: str) -> None:
    found = failed(factory)
    assert set(found) == {name}, found
    assert detail in found[name]


def test_every_check_has_an_explainer_that_fails_it() -> None:
    assert {name for _, name, _ in BREACHES} == {result.name for result in check_explainer(Fine, "windows")}


def test_an_explainer_that_never_asks_is_found() -> None:
    assert "no request" in failed(requesting(lambda *_: ()))[ASKS]


def test_whatever_an_explainer_raises_is_a_finding() -> None:
    def broken(settings: Any, config: Any) -> Any:
        raise LookupError("no")

    place = f"{__file__}:{broken.__code__.co_firstlineno + 1} in broken, called as `explainer = factory("
    for said in failed(broken).values():
        assert said.startswith(f"raised what is no error of this package: LookupError: no, {place}")


class Rounds(Fine):
    """Asks one more round: a second opinion on what the first reply said."""

    asks = "in rounds"

    def follow(self, evidence: Evidence, rounds: Sequence[Round], rng: np.random.Generator) -> Said:
        return self.next_round(evidence, rounds) if len(rounds) < 2 else Reading("so")

    def next_round(self, evidence: Evidence, rounds: Sequence[Round]) -> Said:
        request = self.requests(evidence, np.random.default_rng(0))[0]
        return saying(str([reply and reply.text for reply in rounds[-1]]), (request,))


class Undeclared(Rounds):
    asks = "once"


class Endless(Rounds):
    def follow(self, evidence: Evidence, rounds: Sequence[Round], rng: np.random.Generator) -> Said:
        return self.next_round(evidence, rounds)


class Silent(Rounds):
    def next_round(self, evidence: Evidence, rounds: Sequence[Round]) -> Said:
        return ()


class Peeking(Rounds):
    """Shows held-out windows in its second round."""

    def next_round(self, evidence: Evidence, rounds: Sequence[Round]) -> Said:
        held_out = "".join(window.text for window in evidence.select("score", "bin")[:1])
        return saying(held_out, self.requests(evidence, np.random.default_rng(0)))


@pytest.mark.parametrize(
    ("factory", "detail"),
    [
        (Undeclared, "in rounds"),
        (Endless, "still asks after 10 rounds"),
        (Silent, "neither asks nor explains"),
        (Peeking, "scoring needs unseen"),
    ],
)
def test_later_rounds_are_held_to_the_contract(factory: type[Rounds], detail: str) -> None:
    assert failed(Rounds) == {}
    found = failed(factory)
    assert detail in found[HELD_OUT]


class Alone(EmptyExplainer):
    """Explains alone; tests break it in one place each."""


class Asking(Alone):
    def requests(self, evidence: Evidence, rng: np.random.Generator) -> Requests:
        return Fine(ExplainerConfig(), ExplainConfig()).requests(evidence, rng)


class Undecided(Alone):
    def explain(self, evidence: Evidence, rng: np.random.Generator) -> Reading:
        return Reading(None)


class Leaking(Alone):
    def explain(self, evidence: Evidence, rng: np.random.Generator) -> Reading:
        return Reading("".join(w.text for w in evidence.select("score", "bin")[:1]))


class Moody(Alone):
    _GENERATOR = np.random.default_rng(0)

    def explain(self, evidence: Evidence, rng: np.random.Generator) -> Reading:
        return Reading(str(self._GENERATOR.random()))


@pytest.mark.parametrize(
    ("factory", "check", "detail"),
    [
        (Asking, ASKS, "by an explainer that explains alone"),
        (Undecided, ASKS, "a failure where there is none"),
        (Leaking, HELD_OUT, "scoring needs unseen"),
        (Moody, "requests depend on the random stream alone", "gave different requests"),
    ],
)
def test_who_asks_nobody_is_held_to_the_contract(factory: type[Alone], check: str, detail: str) -> None:
    assert failed(Alone, "none") == {}
    found = failed(factory, "none")
    assert detail in found.pop(check)


def test_an_explainer_without_windows_need_not_stay_silent_without_them() -> None:
    results = {r.name: r for r in check_explainer(load_plugin("autointerp.explainers", "logits"), "logits")}
    assert results["no firing window, no question"].is_passed is None
    assert results["held-out windows never enter a request"].is_passed is True
