"""Checks that every scorer must pass, built in or plug-in, on made-up evidence and replies.

Labels, kinds, activations and documents are changed in secret: the requests must stay the same.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from autointerp.config.asking import ScoreConfig, ScorerConfig
from autointerp.config.own_settings import declared_settings
from autointerp.judges.judge import Reply
from autointerp.judges.kit.findings import Broken, CheckResult, NotAsked, find_now
from autointerp.judges.tasks import ExplainTask, IntruderTask, PickEffectTask, ScoreTask, SimulateTask
from autointerp.records.evidence import Evidence
from autointerp.records.planted import TRAP, plant_evidence
from autointerp.records.window import ACTIVATING, Kind, Window
from autointerp.score.scorer import AnswerRead, Item, Question, Scale, Scorer, Unscorable
from autointerp.seeds import stream

__all__ = ["Factory", "check_scorer"]

Factory = Callable[[ScorerConfig, ScoreConfig], Scorer]

_LABEL = "a label"
_EXPLANATION = "fires on the word lantern"
_N_STREAMS = 6
_MOST_ASKED = 10
_YES_OR_NO = ("windows", "marks", "strata")
_PER_TOKEN = ("activations", "firings")
_WORDS = {"fires", "silent", "unparsed", "refused", "error"}


def check_scorer(factory: Factory, name: str) -> list[CheckResult]:
    """All findings about the scorer registered as `name`, in a fixed order; its exceptions become findings."""

    def opened(label: str | None = None, size: int = 4) -> Scorer:
        settings = declared_settings(factory, ScorerConfig)(
            name=name, label=label, n_positive=7, n_negative=7, n_near_miss=3, windows_per_request=size
        )
        scorer = factory(settings, ScoreConfig())
        if not isinstance(scorer, Scorer):
            raise Broken("its class is not derived from autointerp.score.scorer.Scorer")
        return scorer

    checks: dict[str, Callable[[], str]] = {
        "it has a name, a label and a prompt's hash": partial(_is_named, opened, name),
        "it samples held-out windows, each once": lambda: _samples_held_out(opened()),
        "windows depend on the random stream alone": lambda: _draws_from_stream(opened()),
        "their order tells no label": lambda: _shuffles(opened()),
        "too few windows are said, not filled up": lambda: _says_too_few(opened()),
        "each window is asked about exactly once": lambda: _asks_each_once(opened),
        "no label leaks into a request": lambda: _leaks_nothing(opened()),
        "each answer goes to its window": lambda: _reads_each(opened()),
        "a reply that does not fit is never filled up": lambda: _pads_nothing(opened()),
        "asking again stays with the question": lambda: _stays_with_question(opened()),
    }
    return [find_now(title, check) for title, check in checks.items()]


def _items(scorer: Scorer, seed: int = 0, evidence: Evidence | None = None) -> tuple[Item, ...]:
    items = scorer.sample(evidence or plant_evidence(), stream(seed, "contract"), others=_others())
    if isinstance(items, Unscorable):
        raise Broken(f"a feature with plenty of windows cannot be scored: {items.detail}")
    return tuple(items)


def _others() -> tuple[Evidence, ...]:
    return plant_evidence(1), plant_evidence(2)


def _is_named(opened: Callable[..., Scorer], name: str) -> str:
    scorer, labelled = opened(), opened(_LABEL)
    if scorer.name != name:
        raise Broken(f"its name is {scorer.name!r}, but it is registered as '{name}'")
    if labelled.name != _LABEL:
        raise Broken(f"with the label '{_LABEL}' in its settings its name is {labelled.name!r}")
    if not isinstance(scorer.prompt_hash, str) or not scorer.prompt_hash:
        raise Broken(f"prompt_hash is {scorer.prompt_hash!r}")
    if scorer.prompt_hash != opened().prompt_hash:
        raise Broken("prompt_hash differs between two scorers of the same settings")
    return f"{name}, prompt {scorer.prompt_hash}"


def _samples_held_out(scorer: Scorer) -> str:
    shown = {" ".join(window.text.split()) for window in plant_evidence().select("explain")}
    for seed in range(_N_STREAMS):
        items = _items(scorer, seed)
        for item in items:
            for window in (item.window, *(w for w in item.shown if isinstance(w, Window))):
                if window.role != "score":
                    raise Broken(f"the window {window.id} is of the role {window.role}")
                if window.document == TRAP or " ".join(window.text.split()) in shown:
                    raise Broken("a window repeats the text of one that an explainer may be shown")
            if _is_yes_or_no(scorer) and item.is_firing != (item.kind in ACTIVATING):
                raise Broken(f"a window of kind {item.kind} is labelled {'firing' if item.is_firing else 'silent'}")
        if len({item.key for item in items}) < len(items):
            raise Broken("a window stands twice among the items")
        if _is_yes_or_no(scorer) and len({item.is_firing for item in items}) < 2:
            raise Broken("all windows have the same label; without silent ones nothing is measured")
    return f"{len(items)} windows, {sum(item.is_firing for item in items)} firing"


def _draws_from_stream(scorer: Scorer) -> str:
    first, *others = (_items(scorer) for _ in range(3))
    if any(other != first for other in others):
        raise Broken("the same evidence and the same stream gave different windows or another order")
    return "3 times the same"


def _shuffles(scorer: Scorer) -> str:
    """Firing windows stand in different places in different streams."""
    _require_yes_or_no(scorer)
    orders = {tuple(item.is_firing for item in _items(scorer, seed)) for seed in range(_N_STREAMS)}
    if not any(len(set(order)) > 1 for order in orders):
        raise NotAsked("there is one label only")
    if len(orders) == 1:
        raise Broken(f"firing and silent windows stand in the same places in {_N_STREAMS} streams; shuffle them")
    return f"{len(orders)} orders in {_N_STREAMS} streams"


def _says_too_few(scorer: Scorer) -> str:
    silent: frozenset[Kind] = frozenset({"random", "near_miss"})
    negatives = () if scorer.scale.measure == "points" else ((silent, "too_few_negatives"),)
    for missing, wanted in ((ACTIVATING, "too_few_positives"), *negatives):
        sampled = scorer.sample(plant_evidence(without=missing), stream(0, "contract"), others=())
        if not isinstance(sampled, Unscorable):
            is_honest = all(item.window.is_firing for item in sampled if item.is_firing)
            if is_honest and len({item.is_firing for item in sampled}) == 2:
                continue  # it has both labels without them, as marks that stand wrongly or entries of the vocabulary
            raise Broken(f"a feature without {' and '.join(sorted(missing))} windows must be Unscorable ({wanted})")
        if sampled.reason != wanted:
            raise Broken(f"the reason is {sampled.reason!r} where it should be '{wanted}'")
    return ", ".join(["too_few_positives", *(wanted for _, wanted in negatives)])


def _asks_each_once(opened: Callable[..., Scorer]) -> str:
    n_questions = []
    for size in (1, 4, 100):
        scorer = opened(size=size)
        items = _items(scorer)
        questions = scorer.questions(_EXPLANATION, items)
        asked = Counter(item.key for question in questions for item in question.items)
        lost = [item.key for item in items if not asked[item.key]]
        if lost:
            raise Broken(f"{len(lost)} of {len(items)} windows are not asked about")
        if asked != Counter(item.key for item in items):
            raise Broken(f"the window {max(asked, key=lambda key: asked[key])} is asked about more than once")
        for question in questions:
            _check_question(question, scorer.scale)
        n_questions.append(len(questions))
    return f"{len(items)} windows in {', '.join(map(str, n_questions))} questions"


def _check_question(question: Question, scale: Scale) -> None:
    task = question.request.task
    if isinstance(task, ExplainTask):
        raise Broken("the task is an ExplainTask: it asks for an explanation")
    if scale.needs_explanation and getattr(task, "explanation", None) != _EXPLANATION:
        raise Broken("the task does not hold the explanation as it was given")
    if scale.measure in _YES_OR_NO and isinstance(task, ScoreTask) and len(task.passages) != len(question.items):
        raise Broken(f"{len(task.passages)} passages for {len(question.items)} windows")
    if not any(message.content.strip() for message in question.request.messages):
        raise Broken("a request without words: a language model reads its messages")


def _leaks_nothing(scorer: Scorer) -> str:
    """Items with the same texts but other labels give the same requests."""
    if scorer.scale.measure == "choices":
        return _leaks_no_place(scorer)
    items = _items(scorer)
    wanted = [question.request for question in scorer.questions(_EXPLANATION, items)]
    turned = [question.request for question in scorer.questions(_EXPLANATION, [_turned(item) for item in items])]
    if wanted != turned:
        raise Broken("the requests change with labels, kinds, activations or documents, which no judge may know")
    return f"{len(wanted)} requests, the same with every label turned round"


def _leaks_no_place(scorer: Scorer) -> str:
    """Trials with another right option give the same request, and the right option takes every place."""
    items = [item for seed in range(_N_STREAMS) for item in _items(scorer, seed)]
    if not any(item.shown for item in items):
        raise NotAsked("which of several options is right is what its items are made of")
    places = {place for item in items for place in item.places}
    if places != set(range(len(items[0].shown))):
        raise Broken(f"what is asked about always stands in the places {sorted(places)} of {len(items[0].shown)}")
    wanted = [question.request for question in scorer.questions(_EXPLANATION, items)]
    moved = [question.request for question in scorer.questions(_EXPLANATION, [_moved(item) for item in items])]
    if wanted != moved:
        raise Broken("the requests change with the option that is right, or with kinds or documents")
    return f"{len(wanted)} requests, the same whatever is right"


def _moved(item: Item) -> Item:
    shown = [
        replace(shown, id="moved", document="moved", offset=0, kind="random", bin=None)
        if isinstance(shown, Window)
        else shown
        for shown in item.shown
    ]
    places = tuple((place + 1) % len(shown) for place in item.places)
    moved = tuple(shown) if any(isinstance(s, Window) for s in shown) else item.shown
    return item._replace(kind="random", is_firing=not item.is_firing, shown=moved, places=places)  # type: ignore[arg-type]


def _turned(item: Item) -> Item:
    kind: Kind = "random" if item.is_firing else "top"
    window = replace(
        item.window,
        id=f"turned {item.window.id}",
        document="turned",
        offset=item.window.offset + 1000,
        kind=kind,
        bin=None if item.is_firing else 0,
        activations=tuple(9.0 - value for value in item.window.activations),
    )
    return item._replace(window=window, kind=kind, is_firing=not item.is_firing)


def _reads_each(scorer: Scorer) -> str:
    """A JSON list of 0 and 1 is read window by window."""
    if scorer.scale.measure in _PER_TOKEN:
        return _reads_each_token(scorer)
    if any(item.shown for item in _items(scorer)):
        return _reads_each_trial(scorer)
    _require_yes_or_no(scorer)
    for question in scorer.questions(_EXPLANATION, _items(scorer)):
        n = len(question.items)
        for pattern in ([item.is_firing for item in question.items], [not item.is_firing for item in question.items]):
            bits = [int(fires) for fires in pattern]
            for text in (json.dumps(bits), json.dumps({"answers": bits})):
                words = [answer.answer for answer in _read(scorer, question, Reply(text, "m"))]
                if words != ["fires" if fires else "silent" for fires in pattern]:
                    raise Broken(f"{text} about {n} windows was read as {words}")
    return "as a list and as an object"


def _reads_each_trial(scorer: Scorer) -> str:
    """Only the number of the right option is read as right."""
    questions = scorer.questions(_EXPLANATION, _items(scorer))
    if not all(isinstance(question.request.task, IntruderTask | PickEffectTask) for question in questions):
        raise NotAsked("its replies name no option")
    for question in questions:
        (item,) = question.items
        for place in range(len(item.shown)):
            (read,) = _read(scorer, question, Reply(json.dumps({"answer": place + 1}), "m"))
            if read.answer != ("fires" if place in item.places else "silent"):
                raise Broken(f"option {place + 1} was read as {read.answer} where {item.places[0] + 1} is right")
    return f"{len(questions)} trials, every option"


def _reads_each_token(scorer: Scorer) -> str:
    """A list of numbers is read token by token; one of another length is not read."""
    n_tokens = 0
    for question in scorer.questions(_EXPLANATION, _items(scorer)):
        task = question.request.task
        n = len(task.marks) if isinstance(task, SimulateTask) else len(getattr(task, "passages", ()))
        wanted = [place % 2 for place in range(n)]
        name = "activations" if isinstance(task, SimulateTask) else "answers"
        for text in (json.dumps(wanted), json.dumps({name: wanted})):
            (read,) = _read(scorer, question, Reply(text, "m"))
            if read.predictions is None or sorted(set(read.predictions)) != sorted({float(v) for v in wanted}):
                raise Broken(f"{text[:60]} about {n} tokens was read as {read.predictions}")
        for wrong in (wanted[1:], [*wanted, 0]):
            (read,) = _read(scorer, question, Reply(json.dumps({name: wrong}), "m"))
            if read.predictions is not None or read.answer in ("fires", "silent"):
                raise Broken(f"{len(wrong)} numbers about {n} tokens were read as an answer")
        n_tokens += n
    return f"{n_tokens} tokens, as a list and as an object"


def _pads_nothing(scorer: Scorer) -> str:
    n_replies = 0
    for question in scorer.questions(_EXPLANATION, _items(scorer)):
        n = len(question.items)
        for text in _unfit(n):
            n_replies += 1
            words = {answer.answer for answer in _read(scorer, question, Reply(text, "m"))}
            if words & {"fires", "silent"}:
                raise Broken(f"{text[:60]!r} about {n} windows was read as an answer")
        refused = {answer.answer for answer in _read(scorer, question, Reply(json.dumps([1] * n), "m", "refused"))}
        if refused != {"refused"}:
            raise Broken(f"a refused reply was read as {', '.join(sorted(refused))}")
    return f"{n_replies} replies that do not fit, and refusals"


def _stays_with_question(scorer: Scorer) -> str:
    question = scorer.questions(_EXPLANATION, _items(scorer))[0]
    replies: list[Reply] = []
    while len(replies) < _MOST_ASKED:
        replies.append(Reply("Hmm.", "m"))
        again = scorer.reask(question, replies)
        if again is None and len(replies) == 1:
            raise NotAsked("it never asks again")
        if again is None:
            break
        if again.task != question.request.task:
            raise Broken("the request that asks again has another task")
        if again == question.request:
            raise Broken("the request that asks again is the same as before, and so would be its reply")
    else:
        raise Broken(f"it asks again after {_MOST_ASKED} replies that cannot be read")
    if _is_yes_or_no(scorer):
        fits = Reply(json.dumps([1] * len(question.items)), "m")
        if scorer.reask(question, [fits]) is not None:
            raise Broken("it asks again after a reply that fits")
    return f"{len(replies) - 1} times at most"


def _is_yes_or_no(scorer: Scorer) -> bool:
    return scorer.scale.measure in _YES_OR_NO


def _require_yes_or_no(scorer: Scorer) -> None:
    if not _is_yes_or_no(scorer):
        raise NotAsked(f"its verdicts are {scorer.scale.measure}, no yes or no about windows")


def _unfit(n: int) -> list[str]:
    """Replies from which no answer about `n` windows can be read."""
    short, long = json.dumps([1] * (n - 1)), json.dumps([1] * (n + 1))
    return ["", "Hmm.", "[", short, long, json.dumps({"answers": [0] * (n + 1)}), "{}", "\ud83d", "[" + "1, " * n]


def _read(scorer: Scorer, question: Question, reply: Reply) -> Sequence[AnswerRead]:
    read = scorer.read(question, reply)
    if len(read) != len(question.items):
        raise Broken(f"{len(read)} answers were read for {len(question.items)} windows (reply {reply.text[:40]!r})")
    for answer in read:
        if answer.answer not in _WORDS:
            raise Broken(f"an answer is {answer.answer!r}, which is none of {', '.join(sorted(_WORDS))}")
        if answer.probability is not None and not 0.0 <= answer.probability <= 1.0:
            raise Broken(f"a probability is {answer.probability!r}, outside 0 to 1")
    return read
