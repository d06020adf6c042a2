"""Tokens of the labels 0 and 1 in a list of answers, found where an all-0 and an all-1 reply differ."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from autointerp.judges.tasks import LABELS

__all__ = [
    "AnswerTemplate",
    "answer_template",
    "by_text",
    "is_answer_schema",
    "is_label_schema",
    "label_token_ids",
    "reply_text",
]

Encode = Callable[[str], Sequence[int]]

_LAYOUTS = ('{{"answers": [{0}, {0}, {0}]}}', '{{"answers":[{0},{0},{0}]}}', "[{0}, {0}, {0}]", "[{0},{0}]", "{0}")


@dataclass(frozen=True, slots=True)
class AnswerTemplate:
    """Tokens of a reply, positions of the labels in them, and the tokens (of 0, of 1) per position.

    `spell` writes answers as a reply: `{"answers": [0, ...]}`, or a label alone.
    """

    ids: tuple[int, ...]
    positions: tuple[int, ...]
    labels: tuple[tuple[int, int], ...]
    spell: Callable[[Sequence[int]], str]

    def fill(self, answers: Sequence[int]) -> tuple[int, ...]:
        """Raises ValueError for a wrong number of answers."""
        ids = list(self.ids)
        for position, pair, answer in zip(self.positions, self.labels, answers, strict=True):
            ids[position] = pair[answer]
        return tuple(ids)


def answer_template(encode: Encode, n: int | None) -> AnswerTemplate:
    """Template of a list of `n` answers, of a label alone for None. Raises ValueError where labels have no tokens of
    their own.
    """
    # spaces are dropped where a space and a label form one token
    lists = [partial(reply_text, separator=separator) for separator in (", ", ",")]
    for spell in [_label_alone] if n is None else lists:
        ids, ones = (tuple(encode(spell([label] * (n or 1)))) for label in (0, 1))
        differing = _differing(ids, ones)
        if differing is not None and len(differing) == (n or 1):
            return AnswerTemplate(ids, differing, tuple((ids[i], ones[i]) for i in differing), spell)
    raise ValueError(f"the tokenizer does not spell {' and '.join(LABELS)} as one token each in a list of answers")


def _label_alone(answers: Sequence[int]) -> str:
    return LABELS[answers[0]]


def reply_text(answers: Sequence[int], *, separator: str = ", ") -> str:
    return json.dumps({"answers": list(answers)}, separators=(separator, ": "))


def label_token_ids(encode: Encode) -> tuple[int, ...]:
    """Tokens of labels in common reply layouts; may be empty."""
    ids: dict[int, None] = {}
    for layout in (
        '{{"answers": [{0}, {0}, {0}]}}',
        '{{"answers":[{0},{0},{0}]}}',
        "[{0}, {0}, {0}]",
        "[{0},{0}]",
        "{0}",
    ):
        zeros, ones = (tuple(encode(layout.format(label))) for label in LABELS)
        for position in _differing(zeros, ones) or ():
            ids |= {zeros[position]: None, ones[position]: None}
    return tuple(ids)


def by_text(tokens: Iterable[tuple[str, float]]) -> dict[str, float]:
    """Log-probabilities by token text; probabilities of equal texts are added."""
    logprobs: dict[str, float] = {}
    for text, logprob in tokens:
        if text in logprobs:
            # log(exp(high) + exp(low)) without overflow; rounding must not exceed 0
            high, low = max(logprobs[text], logprob), min(logprobs[text], logprob)
            logprobs[text] = min(0.0, high + math.log1p(math.exp(low - high)))
        else:
            logprobs[text] = logprob
    return logprobs


def is_label_schema(schema: Mapping[str, Any]) -> bool:
    """Whether the schema is that of 0 or 1 alone."""
    return schema.get("type") == "integer" and sorted(schema.get("enum", ())) == [0, 1]


def is_answer_schema(schema: Mapping[str, Any]) -> bool:
    """Whether the schema is `{"answers": [0 or 1, ...]}`."""
    properties = schema.get("properties")
    answers = properties.get("answers") if isinstance(properties, Mapping) and len(properties) == 1 else None
    items = answers.get("items") if isinstance(answers, Mapping) else None
    return isinstance(items, Mapping) and sorted(items.get("enum", ())) == [0, 1]


def _differing(zeros: Sequence[int], ones: Sequence[int]) -> tuple[int, ...] | None:
    """Positions where two tokenisations differ; None for unequal lengths."""
    if len(zeros) != len(ones):
        return None
    return tuple(i for i, pair in enumerate(zip(zeros, ones, strict=True)) if pair[0] != pair[1])
