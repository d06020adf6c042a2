"""The exam: the questions that a judge is asked, fixed for a Python version.

Seven sheets of ten windows per concept and scorer:

    told     firing + silent  asked
    right    5 + 5            once, once more unchanged, once in reversed order
    right    2 + 8, 8 + 2     once each, sharing windows
    wrong    5 + 5            once, same windows, same order
    foreign  5 + 5            once, likewise

The slightly wrong explanation errs on two windows of a sheet.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from autointerp.audition.concept import LEVELS, Concept, Level
from autointerp.audition.concepts import CONCEPTS, Told, Wording, chosen, explanation, rule_of
from autointerp.audition.names import babel_version
from autointerp.audition.planting import Counts, plant
from autointerp.config.asking import ScoreConfig, ScorerConfig
from autointerp.errors import ConfigError
from autointerp.judges.tasks import ScoreTask
from autointerp.records.evidence import Evidence
from autointerp.score.opening import open_scorer
from autointerp.score.scorer import Question, Scorer, Unscorable
from autointerp.seeds import stream

__all__ = ["EXAM_VERSION", "SIZES", "Asked", "Balance", "Exam", "Sitting", "Size", "make_exam"]

EXAM_VERSION = 2
"""Raise it with every change of concepts, texts or sheets: grades of different exams are not comparable."""
SEED = 0

Size = Literal["small", "standard", "large"]
SIZES: dict[Size, tuple[int, int]] = {"small": (12, 1), "standard": (24, 1), "large": (len(CONCEPTS), 2)}
"""Concepts at most, and rounds, each with windows of its own."""

Balance = Literal["2+8", "5+5", "8+2"]
"""Firing and silent windows of a sheet."""
Sitting = Literal["first", "repeated", "reversed"]
"""`repeated`: another sample index. `reversed`: windows in the opposite order."""

_BALANCES: dict[Balance, tuple[int, int]] = {"2+8": (2, 8), "5+5": (5, 5), "8+2": (8, 2)}
_POOL, _PER_SHEET, _N_WRONG = 8, 10, 2
_PLAN: tuple[tuple[Told, Balance, Sitting], ...] = (
    ("right", "5+5", "first"),
    ("wrong", "5+5", "first"),
    ("foreign", "5+5", "first"),
    ("right", "5+5", "repeated"),
    ("right", "5+5", "reversed"),
    ("right", "2+8", "first"),
    ("right", "8+2", "first"),
)


@dataclass(frozen=True, slots=True)
class Asked:
    """`says`: per window, the answer of a faultless judge that is told this."""

    concept: Concept
    feature: int
    scorer: Scorer
    told: Told
    balance: Balance
    sitting: Sitting
    question: Question
    says: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class Exam:
    """All requests, their evidence, and a hash of everything asked."""

    size: Size
    levels: tuple[Level, ...]
    wording: Wording
    scorers: tuple[Scorer, ...]
    evidences: tuple[Evidence, ...]
    asked: tuple[Asked, ...]
    hash: str
    python: str
    babel: str | None
    """Its version, where Babel's names are asked about."""

    @property
    def n_concepts(self) -> int:
        return len({asked.concept.name for asked in self.asked})


def make_exam(
    scorers: Sequence[str] = ("detection", "marked"),
    *,
    size: Size = "standard",
    levels: Sequence[Level] = LEVELS,
    wording: Wording = "plain",
    score: ScoreConfig | None = None,
) -> Exam:
    """Wording `rule` drops level `hard`, whose rules are no regular expressions. Of `score`, temperature, max_tokens
    and want_logprobs count.

    Raises ConfigError where no level is left or a scorer asks no yes or no about explained windows, PluginError for an
    unknown scorer, InputError where this Python has too little text.
    """
    settings = exam_settings(score)
    opened = [_open(name, settings) for name in scorers]
    levels = tuple(level for level in LEVELS if level in levels and (wording == "plain" or level != "hard"))
    if not levels:
        raise ConfigError(
            "--wording rule: the rules of level hard are no regular expressions; use --level easy or --level medium"
        )
    most, n_rounds = SIZES[size]
    concepts = chosen(most, levels)
    taken: set[str] = set()
    evidences: list[Evidence] = []
    asked: list[Asked] = []
    for number in range(n_rounds):
        for index, concept in enumerate(concepts):
            feature = number * len(concepts) + index
            n_missed, n_false = (_N_WRONG, 0) if concept.wrong_is == "narrower" else (0, _N_WRONG)
            counts = Counts(_POOL, _POOL, n_missed, n_false)
            evidence = plant(concept, counts, feature=feature, seed=SEED + number, taken=taken)
            evidences.append(evidence)
            for forms in opened:
                asked += _sheets(concept, evidence, forms, wording)
    return Exam(
        size=size,
        levels=levels,
        wording=wording,
        scorers=tuple(forms["5+5"] for forms in opened),
        evidences=tuple(evidences),
        asked=tuple(asked),
        hash=_hash(asked),
        python=platform.python_version(),
        babel=babel_version() if "hard" in levels else None,
    )


def exam_settings(score: ScoreConfig | None) -> ScoreConfig:
    return (score or ScoreConfig(want_logprobs=True)).model_copy(update={"reasks": 0, "preset": None})


def _open(name: str, score: ScoreConfig) -> dict[Balance, Scorer]:

    def opened(n_positive: int, n_negative: int) -> Scorer:
        settings = ScorerConfig(
            name=name,
            n_positive=n_positive,
            n_negative=n_negative,
            n_near_miss=0,
            windows_per_request=_PER_SHEET,
        )
        return open_scorer(settings, score)

    scorers: dict[Balance, Scorer] = {balance: opened(*numbers) for balance, numbers in _BALANCES.items()}
    scale = scorers["5+5"].scale
    if scale.measure not in ("windows", "marks") or not scale.needs_explanation:
        raise ConfigError(
            f"--scorer {name}: it asks no yes or no about explained windows, so no judge can be examined with it; "
            "use detection or marked"
        )
    return scorers


def _sheets(concept: Concept, evidence: Evidence, forms: dict[Balance, Scorer], wording: Wording) -> list[Asked]:
    made: list[Asked] = []
    positives, negatives = evidence.windows[:_POOL], evidence.windows[_POOL:]
    for told, balance, sitting in _PLAN:
        scorer, (n_positive, n_negative) = forms[balance], _BALANCES[balance]
        own = replace(evidence, windows=(*positives[:n_positive], *negatives[:n_negative]))
        # one stream for all sheets of a balance: what differs between them is what is told, or the order
        rng = stream(SEED, "audition", "sheet", scorer.name, concept.name, evidence.feature, balance)
        items = scorer.sample(own, rng, others=())
        if isinstance(items, Unscorable):
            raise ConfigError(
                f"--scorer {scorer.name}: it can ask nothing about {balance} windows ({items.detail}); "
                "use detection or marked"
            )
        if sitting == "reversed":
            items = items[::-1]
        made += [
            _asked(concept, evidence.feature, scorer, told, balance, sitting, question)
            for question in scorer.questions(explanation(concept, told, wording), items)
        ]
    return made


def _asked(
    concept: Concept,
    feature: int,
    scorer: Scorer,
    told: Told,
    balance: Balance,
    sitting: Sitting,
    question: Question,
) -> Asked:
    task = question.request.task
    if not isinstance(task, ScoreTask) or len(task.passages) != len(question.items):
        raise ConfigError(
            f"--scorer {scorer.name}: its questions do not hold one passage per answer; use detection or marked"
        )
    rule = rule_of(concept, told)
    if sitting == "repeated":
        question = replace(question, request=replace(question.request, sample=1))
    says = tuple(rule.holds(passage) for passage in task.passages)
    return Asked(concept, feature, scorer, told, balance, sitting, question, says)


def _hash(asked: Sequence[Asked]) -> str:
    """Over questions and right answers, in order."""
    digest = hashlib.blake2b(digest_size=8)
    for one in asked:
        request = one.question.request
        texts = [[message.role, message.content] for message in request.messages]
        labels = [item.is_firing for item in one.question.items]
        content = [EXAM_VERSION, texts, request.sample, one.told, labels, one.says]
        digest.update(json.dumps(content, ensure_ascii=True).encode())
    return digest.hexdigest()
