"""Checks that every explainer must pass, built in or plug-in, on made-up evidence and replies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from autointerp.config.asking import ExplainConfig, ExplainerConfig
from autointerp.config.own_settings import declared_settings
from autointerp.errors import ConfigError
from autointerp.explain.explainer import Explainer, Reading
from autointerp.judges.judge import Reply, Request
from autointerp.judges.kit.findings import Broken, CheckResult, NotAsked, find_now
from autointerp.judges.tasks import ExplainTask
from autointerp.records.evidence import Evidence
from autointerp.records.planted import plant_evidence
from autointerp.records.window import ACTIVATING
from autointerp.seeds import stream

__all__ = ["Factory", "check_explainer"]

Factory = Callable[[ExplainerConfig, ExplainConfig], Explainer]

_LABEL = "a label"
_MOST_ASKED = 10
_MOST_ROUNDS = 10
_EXPLAINED = "fires on the word lantern"
# Replies without an explanation.
_NOTHING = ("", "I would rather talk about the weather.", "[EXPLANATION]:", "\ud83d", "{}")


def check_explainer(factory: Factory, name: str) -> list[CheckResult]:
    """All findings about the explainer registered as `name`, in a fixed order; its exceptions become findings.

    An explainer that default settings cannot make (one that needs a path) is not checked.
    """

    def opened(label: str | None = None) -> Explainer:
        try:
            settings = declared_settings(factory, ExplainerConfig)(name=name, label=label)
            explainer = factory(settings, ExplainConfig())
        except ConfigError as error:
            raise NotAsked(f"default settings do not make it: {str(error).partition(': ')[2] or error}") from error
        if not isinstance(explainer, Explainer):
            raise Broken("its class is not derived from autointerp.explain.explainer.Explainer")
        return explainer

    checks: dict[str, Callable[[], str]] = {
        "it has a name, a label and a prompt's hash": partial(_is_named, opened, name),
        "it asks about a feature that fires": lambda: _asks(opened()),
        "held-out windows never enter a request": lambda: _keeps_held_out(opened()),
        "requests depend on the random stream alone": lambda: _draws_from_stream(opened()),
        "no firing window, no question": lambda: _asks_nothing(opened()),
        "an explanation is read": lambda: _reads(opened()),
        "a reply without one is never an explanation": lambda: _invents_nothing(opened()),
        "asking again stays with the question": lambda: _stays_with_question(opened()),
    }
    return [find_now(title, check) for title, check in checks.items()]


_Said = tuple[Request, ...] | Reading


def _requests(explainer: Explainer, evidence: Evidence, seed: int = 0) -> tuple[Request, ...]:
    return explainer.requests(evidence, stream(seed, "contract"))


def _says(explainer: Explainer, evidence: Evidence, seed: int = 0) -> _Said:
    """All requests about a feature, over all rounds, or what an explainer without requests says."""
    if explainer.asks == "nobody":
        return explainer.explain(evidence, stream(seed, "contract"))
    asked = _requests(explainer, evidence, seed)
    if not asked:
        return ()
    requests, rounds = list(asked), []
    while len(rounds) < _MOST_ROUNDS:
        rounds.append([Reply(f"[EXPLANATION]: {_EXPLAINED} {number}", "m") for number in range(len(asked))])
        following = explainer.follow(evidence, rounds, stream(seed, "contract"))
        if isinstance(following, Reading):
            return tuple(requests)
        if not following:
            raise Broken(f"after {len(rounds)} rounds it neither asks nor explains; give a Reading at the end")
        if explainer.asks == "once":
            raise Broken('it asks again after the first round; say `asks = "in rounds"` in its class')
        asked = following
        requests += asked
    raise Broken(f"it still asks after {_MOST_ROUNDS} rounds")


def _is_named(opened: Callable[..., Explainer], name: str) -> str:
    explainer, labelled = opened(), opened(_LABEL)
    if explainer.name != name:
        raise Broken(f"its name is {explainer.name!r}, but it is registered as '{name}'")
    if labelled.name != _LABEL:
        raise Broken(f"with the label '{_LABEL}' in its settings its name is {labelled.name!r}")
    if not isinstance(explainer.prompt_hash, str) or not explainer.prompt_hash:
        raise Broken(f"prompt_hash is {explainer.prompt_hash!r}")
    if explainer.prompt_hash != opened().prompt_hash:
        raise Broken("prompt_hash differs between two explainers of the same settings")
    return f"{name}, prompt {explainer.prompt_hash}"


def _asks(explainer: Explainer) -> str:
    requests = _requests(explainer, plant_evidence())
    if explainer.asks == "nobody":
        if tuple(requests) != ():
            raise Broken(f"{len(requests)} requests by an explainer that explains alone; give an empty tuple")
        reading = explainer.explain(plant_evidence(), stream(0, "contract"))
        if not isinstance(reading, Reading) or (reading.text is None) != (reading.failure is not None):
            raise Broken(f"it explains by itself and gave {reading!r}: a text, or a failure where there is none")
        raise NotAsked("it asks nobody")
    if not requests:
        raise Broken("no request about a feature with 23 firing windows")
    for request in requests:
        if not isinstance(request, Request) or not isinstance(request.task, ExplainTask):
            raise Broken("a request must be a Request whose task is an ExplainTask")
        if not any(message.content.strip() for message in request.messages):
            raise Broken("a request without words: a language model reads its messages")
    return f"{len(requests)} request{'s' * (len(requests) > 1)}"


def _keeps_held_out(explainer: Explainer) -> str:
    evidence, other = plant_evidence(), plant_evidence(1)
    changed = replace(evidence, windows=(*evidence.select("explain"), *other.select("score")))
    without = replace(evidence, windows=evidence.select("explain"))
    wanted = _says(explainer, evidence)
    if _says(explainer, evidence) != wanted:
        raise NotAsked("its requests are never the same")
    if _says(explainer, changed) != wanted or _says(explainer, without) != wanted:
        raise Broken("the requests change with the windows of the role score, which scoring needs unseen")
    return "the same with others, and without any"


def _draws_from_stream(explainer: Explainer) -> str:
    evidence = plant_evidence()
    first, *others = (_says(explainer, evidence) for _ in range(3))
    if any(other != first for other in others):
        raise Broken("the same evidence and the same stream gave different requests")
    n_distinct = len({str(_says(explainer, evidence, seed)) for seed in range(4)})
    return f"{n_distinct} in 4 streams"


def _asks_nothing(explainer: Explainer) -> str:
    requests = _requests(explainer, plant_evidence(without=ACTIVATING))
    if tuple(requests) == ():
        return "none"
    if requests == _requests(explainer, plant_evidence()) and not any(_shows(request) for request in requests):
        raise NotAsked("it explains from something else than windows")
    raise Broken(f"{len(requests)} requests about a feature without one firing window; give an empty tuple")


def _shows(request: Request) -> bool:
    return not isinstance(request.task, ExplainTask) or bool(request.task.windows or request.task.silent_windows)


def _reads(explainer: Explainer) -> str:
    _needs_judge(explainer)
    reading = _read(explainer, Reply(f"It seems so.\n[EXPLANATION]: {_EXPLAINED}", "m"))
    if reading.text is None or _EXPLAINED not in reading.text:
        raise Broken(f"'[EXPLANATION]: {_EXPLAINED}' was read as {reading.text!r}")
    return repr(reading.text)


def _invents_nothing(explainer: Explainer) -> str:
    _needs_judge(explainer)
    for text in _NOTHING:
        reading = _read(explainer, Reply(text, "m"))
        if reading.text is not None or reading.failure is None:
            raise Broken(f"the reply {text!r} was read as the explanation {reading.text!r}")
    refused = _read(explainer, Reply(f"[EXPLANATION]: {_EXPLAINED}", "m", finish="refused"))
    if (refused.text, refused.failure) != (None, "refused"):
        raise Broken(f"a refused reply was read as {refused.text!r}, failure {refused.failure!r}")
    return f"{len(_NOTHING)} empty replies and a refusal"


def _stays_with_question(explainer: Explainer) -> str:
    _needs_judge(explainer)
    request = _requests(explainer, plant_evidence())[0]
    replies: list[Reply] = []
    while len(replies) < _MOST_ASKED:
        replies.append(Reply("Hmm.", "m"))
        again = explainer.reask(request, replies)
        if again is None and len(replies) == 1:
            raise NotAsked("it never asks again")
        if again is None:
            break
        if again.task != request.task:
            raise Broken("the request that asks again has another task")
        if again == request:
            raise Broken("the request that asks again is the same as before, and so would be its reply")
    else:
        raise Broken(f"it asks again after {_MOST_ASKED} replies that cannot be read")
    if explainer.reask(request, [Reply(f"[EXPLANATION]: {_EXPLAINED}", "m")]) is not None:
        raise Broken("it asks again after a reply with an explanation")
    return f"{len(replies) - 1} times at most"


def _needs_judge(explainer: Explainer) -> None:
    if explainer.asks == "nobody":
        raise NotAsked("it asks nobody")


def _read(explainer: Explainer, reply: Reply) -> Reading:
    reading = explainer.read([reply] * len(_requests(explainer, plant_evidence())))
    if not isinstance(reading, Reading):
        raise Broken(f"read gave a {type(reading).__name__}, not a Reading")
    return reading
