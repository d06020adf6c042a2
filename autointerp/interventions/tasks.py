"""Prompt sets with counterfactuals, generated from lists: tasks whose causes in a subject can be looked for.

`ioi`: indirect object identification (Wang et al. 2022, arXiv 2211.00593); the counterfactual's second clause has the
other name. `greater_than`: a later year of the same century (Hanna et al. 2023, arXiv 2305.00586). `subject_verb`:
agreement across an attractor of the other number (Linzen et al. 2016).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from autointerp.errors import SubjectError
from autointerp.interventions.prompts import Prompts, encode_prompts
from autointerp.seeds import stream
from autointerp.subject.model import Subject
from autointerp.subject.tokens import encode_texts

__all__ = ["TASKS", "Pair", "TaskPrompts", "build_task", "draw_pairs"]

# most draws per prompt wanted, where a tokenizer spoils some
_DRAWS_PER_PROMPT = 30

NAMES = (
    "Mary John Anna David Sarah James Emma Tom Laura Paul Alice Peter Kate Mark Susan Robert Julia Michael Lisa Daniel "
    "Helen George Jane Henry Ruth Frank Rose Simon Lucy Adam Grace Jack Martin Karen Andrew Linda Steven Amy"
)
PLACES = "store park school garden beach office library station market hospital restaurant museum"
OBJECTS = "book drink ring ball letter key cake flower hat picture basket bottle"
IOI_TEMPLATES = (
    "When {first} and {second} went to the {place}, {giver} gave a {object} to",
    "Then, {first} and {second} had a long talk at the {place}. Afterwards, {giver} gave a {object} to",
    "After {first} and {second} left the {place}, {giver} handed the {object} to",
    "While {first} and {second} were working at the {place}, {giver} passed a {object} to",
    "{first} and {second} met at the {place} in the morning, and {giver} sold the {object} to",
)

EVENTS = "war siege reign drought campaign dispute strike voyage treaty famine"
CENTURIES = ("14", "15", "16", "17", "18")
YEAR_TEMPLATE = "The {event} lasted from the year {century}{year:02d} to the year {century}"

NOUNS = (
    ("key", "keys"), ("dog", "dogs"), ("teacher", "teachers"), ("picture", "pictures"), ("boy", "boys"),
    ("car", "cars"), ("king", "kings"), ("tree", "trees"), ("book", "books"), ("friend", "friends"),
    ("house", "houses"), ("student", "students"), ("bird", "birds"), ("girl", "girls"), ("letter", "letters"),
)  # fmt: skip
RELATIONS = ("near the", "behind the", "next to the", "beside the")
SINGULAR, PLURAL = (" is", " was", " has"), (" are", " were", " have")


@dataclass(frozen=True, slots=True)
class Pair:
    """A prompt and its counterfactual, with what goes on the one and what the other."""

    clean: str
    counterfactual: str
    answers: tuple[str, ...]
    others: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class TaskPrompts:
    """Pairs in the subject's tokens; prompt and counterfactual have the same length and differ in one token."""

    task: str
    clean: Prompts
    counterfactual: Prompts
    answers: Bool[Tensor, "prompt vocab"]
    others: Bool[Tensor, "prompt vocab"]

    def __len__(self) -> int:
        return len(self.clean)

    @property
    def is_after(self) -> Bool[Tensor, "prompt pos"]:
        """From the first token in which the two differ to the last of the prompt."""
        differs = self.clean.tokens != self.counterfactual.tokens
        return (differs.cumsum(dim=1) > 0) & self.clean.is_text

    def part(self, rows: slice) -> TaskPrompts:
        return TaskPrompts(
            self.task,
            self.clean.part(rows),
            self.counterfactual.part(rows),
            self.answers[rows],
            self.others[rows],
        )

    def logit_difference(
        self, logits: Float[Tensor, "rows vocab"], rows: Int[Tensor, " rows"] | None = None
    ) -> Float[Tensor, " rows"]:
        """Log-odds of the answers against the others, of the prompts `rows` (all where None)."""
        chosen = slice(None) if rows is None else rows
        sides = (self.answers[chosen], self.others[chosen])
        first, second = (logits.masked_fill(~side.to(logits.device), -torch.inf).logsumexp(-1) for side in sides)
        return first - second


def draw_pairs(task: str, rng: np.random.Generator) -> Iterator[Pair]:
    """Endless pairs of a task. Raises KeyError for an unknown one."""
    while True:
        yield TASKS[task](rng)


def build_task(subject: Subject, task: str, n: int, *, seed: int) -> TaskPrompts:
    """`n` different pairs that fit the subject's tokens: equally long, differing in one token, answers told apart by
    their first one.

    Raises SubjectError where the tokenizer lets too few through.
    """
    rows: dict[str, tuple[Pair, set[int], set[int]]] = {}
    for pair, _ in zip(draw_pairs(task, stream(seed, "task", task)), range(_DRAWS_PER_PROMPT * n), strict=False):
        found = _answer_ids(subject, pair)
        if found is not None:
            rows.setdefault(pair.clean, (pair, *found))
        if len(rows) == n:
            break
    if len(rows) < n:
        raise SubjectError(
            f"task {task}: the tokenizer of '{subject.name}' leaves {len(rows)} of {n} prompts, where prompt and "
            "counterfactual have equally many tokens; take another task"
        )
    masks = torch.zeros(2, n, subject.vocab_size, dtype=torch.bool)
    for row, (_, answers, others) in enumerate(rows.values()):
        masks[0, row, list(answers)] = True
        masks[1, row, list(others)] = True
    pairs = [pair for pair, *_ in rows.values()]
    return TaskPrompts(
        task,
        encode_prompts(subject, [pair.clean for pair in pairs]),
        encode_prompts(subject, [pair.counterfactual for pair in pairs]),
        *masks,
    )


def _answer_ids(subject: Subject, pair: Pair) -> tuple[set[int], set[int]] | None:
    """The first tokens of answers and others that tell them apart; None where the pair does not fit the tokenizer."""
    clean, counterfactual = encode_texts(subject.tokenizer, [pair.clean, pair.counterfactual])
    if len(clean) != len(counterfactual) or sum(a != b for a, b in zip(clean, counterfactual, strict=True)) != 1:
        return None
    sides: list[set[int]] = []
    for texts in (pair.answers, pair.others):
        longer = encode_texts(subject.tokenizer, [pair.clean + text for text in texts])
        sides.append({ids[len(clean)] for ids in longer if ids[: len(clean)] == clean and len(ids) > len(clean)})
    answers, others = sides
    both = answers & others
    return (answers - both, others - both) if answers - both and others - both else None


def _ioi(rng: np.random.Generator) -> Pair:
    first, second = (str(name) for name in rng.choice(NAMES.split(), 2, replace=False))
    template = str(rng.choice(IOI_TEMPLATES))
    place, thing = (str(rng.choice(words.split())) for words in (PLACES, OBJECTS))
    giver, receiver = (first, second) if rng.integers(2) else (second, first)
    clean, counterfactual = (
        template.format(first=first, second=second, place=place, object=thing, giver=name) for name in (giver, receiver)
    )
    return Pair(clean, counterfactual, (f" {receiver}",), (f" {giver}",))


def _greater_than(rng: np.random.Generator) -> Pair:
    low, high = int(rng.integers(2, 40)), int(rng.integers(60, 98))
    century, event = str(rng.choice(CENTURIES)), str(rng.choice(EVENTS.split()))
    clean, counterfactual = (
        YEAR_TEMPLATE.format(event=event, century=century, year=10 * (year // 10) + low % 10) for year in (high, low)
    )
    years = [f"{year:02d}" for year in range(100)]
    return Pair(clean, counterfactual, tuple(years[high // 10 * 10 :]), tuple(years[: low // 10 * 10 + 10]))


def _subject_verb(rng: np.random.Generator) -> Pair:
    subject, attractor = (NOUNS[int(place)] for place in rng.choice(len(NOUNS), 2, replace=False))
    is_plural = int(rng.integers(2))
    relation = str(rng.choice(RELATIONS))
    clean, counterfactual = (
        f"The {subject[number]} {relation} {attractor[1 - is_plural]}" for number in (is_plural, 1 - is_plural)
    )
    sides = (SINGULAR, PLURAL)
    return Pair(clean, counterfactual, sides[is_plural], sides[1 - is_plural])


TASKS: dict[str, Callable[[np.random.Generator], Pair]] = {
    "ioi": _ioi,
    "greater_than": _greater_than,
    "subject_verb": _subject_verb,
}
"""By name, the one to try first in front."""
