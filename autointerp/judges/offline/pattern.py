"""Judge `pattern`: explains and predicts by patterns of tokens, after Neuron2Graph (Foote et al. 2023), with how often
each fires.

Explanations without a pattern are matched by their quoted strings, else by their longer words.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from autointerp.errors import ConfigError
from autointerp.judges.judge import Capabilities, Reply, Request
from autointerp.judges.offline.pattern_language import Element, Pattern, parse_pattern
from autointerp.judges.offline.pattern_learning import learn_pattern
from autointerp.judges.offline.trial_answers import answer_trial, as_score_task, find_groups, find_odd_one
from autointerp.judges.tasks import (
    HIGHEST,
    ExplainTask,
    GroupTask,
    IntruderTask,
    Passage,
    ScoreTask,
    SimulateTask,
)

__all__ = ["PatternJudge", "open_judge"]

ALGORITHM = 2
"""Part of every cache key; raise it when answers change."""

_QUOTED = re.compile(r"\"([^\"]+)\"|“([^”]+)”|`([^`]+)`|(?<!\w)'([^']+)'(?!\w)")
_WORD = re.compile(r"[^\W\d_]{4,}")
_STOP_WORDS = frozenset(
    """about above after also before being between both does each else ever every feature features fire fired fires
    firing from have here into language letter letters like many mark marked model more most near often only other over
    part phrase phrases such some sometimes strongly text texts than that their them then there these they this those
    token tokens under used using usually very well when where which while window windows with within word words
    """.split()  # noqa: SIM905  # a list of quoted words would hide them
)


class PatternJudge:
    capabilities = Capabilities(
        endpoint="builtin",
        model=f"pattern-{ALGORITHM}",
        is_local=True,
        uses_task=True,
        has_schema=True,
        is_deterministic=True,
    )

    async def ask(self, request: Request) -> Reply:
        task = request.task
        if isinstance(task, ScoreTask):
            text = json.dumps({"answers": predict(task)})
        elif isinstance(task, SimulateTask):
            text = json.dumps({"activations": simulate(task)})
        elif isinstance(task, IntruderTask):
            text = json.dumps({"answer": find_odd_one(task.passages) + 1})
        elif isinstance(task, GroupTask):
            text = json.dumps({"answers": find_groups(task.passages)})
        elif not isinstance(task, ExplainTask):
            answer, probabilities = answer_trial(task, [bool(label) for label in predict(as_score_task(task))])
            return Reply(text=json.dumps(answer), model=self.capabilities.model, probabilities=probabilities)
        else:
            text = explain(task)
        return Reply(text=text, model=self.capabilities.model)

    async def aclose(self) -> None:
        """Nothing to release."""


def explain(task: ExplainTask) -> str:
    """Pattern of the windows; without windows, the promoted tokens."""
    pattern = learn_pattern(task)
    if pattern is not None:
        return f"[EXPLANATION]: {pattern.render()}"
    promoted = dict.fromkeys((*task.top_logits, *task.raised))
    if task.windows or not promoted:
        return "No token fires in these windows."
    return f"[EXPLANATION]: promotes {', '.join(json.dumps(token, ensure_ascii=False) for token in promoted)}"


def predict(task: ScoreTask) -> list[int]:
    """1 or 0 per passage."""
    pattern = parse_pattern(task.explanation)
    if pattern is None:
        terms = _terms(task.explanation)
        return [int(_mentions(terms, passage)) for passage in task.passages]
    if task.asks == "promotes":  # entries of the vocabulary need not be the tokens it fires on
        return [int(pattern.total(passage.text) >= pattern.text_from) for passage in task.passages]
    is_every_token = len({passage.text for passage in task.passages}) == 1 < len(task.passages)
    mark_from = pattern.token_from if is_every_token else pattern.mark_from
    return [int(_fires(pattern, passage, mark_from)) for passage in task.passages]


def simulate(task: SimulateTask) -> list[int]:
    """Strength of the element matching at each mark, else 0."""
    pattern = parse_pattern(task.explanation)
    if pattern is None:
        return [HIGHEST * answer for answer in predict(task.as_marks())]
    found = [pattern.at(task.text, *mark) for mark in task.marks]
    return [element.strength if element and element.share >= pattern.token_from else 0 for element in found]


def _fires(pattern: Pattern, passage: Passage, mark_from: int) -> bool:
    text, marks = passage.text, passage.marks or ((passage.mark,) if passage.mark else ())
    if not marks:
        return pattern.total(text, passage.starts) >= pattern.text_from
    return sum(pattern.share(text, *mark) for mark in marks) >= mark_from * len(marks)


def _terms(explanation: str) -> list[str]:
    """Quoted strings, else longer words."""
    quoted = [term for groups in _QUOTED.findall(explanation) for term in groups if term.strip()]
    if quoted:
        return quoted
    return [word for word in _WORD.findall(explanation) if word.lower() not in _STOP_WORDS]


def _mentions(terms: list[str], passage: Passage) -> bool:
    if passage.marks:
        matching = [_mentions(terms, Passage(passage.text, mark)) for mark in passage.marks]
        return 2 * sum(matching) >= len(matching)
    if passage.mark is not None:
        marked = passage.text[passage.mark[0] : passage.mark[1]].strip().lower()
        return bool(marked) and any(marked == term.strip().lower() for term in terms)
    return Pattern(tuple(Element(term.lower()) for term in terms)).total(passage.text.lower()) > 0


def open_judge(model: str | None, options: Mapping[str, Any]) -> PatternJudge:
    """Raises ConfigError for a model or an option: it has none."""
    if model:
        raise ConfigError(f"judge 'pattern:{model}': the judge 'pattern' has no models; write 'pattern'")
    if options:
        raise ConfigError(f"judges.pattern.{min(options)}: the judge 'pattern' has no options; remove it")
    return PatternJudge()
