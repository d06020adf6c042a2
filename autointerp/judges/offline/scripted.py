"""Test judges of known quality, answering typed tasks; random answers are hashes of the question."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from autointerp.errors import ConfigError
from autointerp.judges.judge import Capabilities, Reply, Request
from autointerp.judges.offline.trial_answers import Trial, answer_trial, as_score_task
from autointerp.judges.offline.truth import Truth
from autointerp.judges.options import Options, read_options
from autointerp.judges.tasks import HIGHEST, ExplainTask, GroupTask, Passage, ScoreTask, SimulateTask
from autointerp.seeds import unit_hash

__all__ = ["ScriptedJudge", "coin", "liar", "literal", "mumbler", "noisy", "oracle"]

Script = Callable[[ScoreTask, Request], Sequence[bool] | str]
Simulate = Callable[[SimulateTask], Sequence[int]]
Sort = Callable[[Trial, Request], Sequence[bool] | str]
Explain = Callable[[ExplainTask], str]
Key = Truth | Callable[[], Truth]

_EXPLANATION = "a fixed explanation that says nothing about the feature"
_MUMBLE = "Hmm, that is hard to say; some of these might, though one could see it the other way round."


class ScriptedJudge:
    """Judge with scripted answers. Without `simulate`, activations are highest where `script` fires; `sort` answers
    trials, else `script`.
    """

    def __init__(
        self,
        name: str,
        *,
        script: Script,
        explain: Explain,
        simulate: Simulate | None = None,
        sort: Sort | None = None,
        variant: str = "",
    ) -> None:
        self._script, self._explain, self._simulate, self._sort = script, explain, simulate, sort
        self._capabilities = Capabilities(
            endpoint=f"scripted:{name}",
            model=name,
            is_local=True,
            uses_task=True,
            has_schema=name != "mumbler",
            variant=variant,
            is_deterministic=True,
            has_similarities=True,
            has_likelihoods=True,
        )

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    async def ask(self, request: Request) -> Reply:
        task = request.task
        if isinstance(task, ExplainTask):
            return Reply(text=self._explain(task), model=self._capabilities.model)
        if isinstance(task, SimulateTask):
            return Reply(text=self._levels(task, request), model=self._capabilities.model)
        if not isinstance(task, ScoreTask):
            return self._tried(task, request)
        answer = self._script(task, request)
        text = answer if isinstance(answer, str) else _written([int(fires) for fires in answer], request)
        return Reply(text=text, model=self._capabilities.model)

    def _tried(self, task: Trial, request: Request) -> Reply:
        labels = self._script(as_score_task(task), request) if self._sort is None else self._sort(task, request)
        if isinstance(labels, str):
            return Reply(text=labels, model=self._capabilities.model)
        answer, probabilities = answer_trial(task, labels)
        return Reply(text=json.dumps(answer), model=self._capabilities.model, probabilities=probabilities)

    def _levels(self, task: SimulateTask, request: Request) -> str:
        if self._simulate is not None:
            levels = list(self._simulate(task))
        else:
            answer = self._script(task.as_marks(), request)
            if isinstance(answer, str):
                return answer
            levels = [HIGHEST * fires for fires in answer]
        return json.dumps(levels if request.reply_schema is None else {"activations": levels})

    async def aclose(self) -> None:
        """There is nothing to release."""


def _written(answers: list[int], request: Request) -> str:
    """As an object under a schema, else a list."""
    return json.dumps(answers if request.reply_schema is None else {"answers": answers})


def oracle(truth: Key, *, explanation: str | None = None, variant: str = "") -> ScriptedJudge:
    """Knows the labels, and names the feature as its explanation."""

    def explain(task: ExplainTask) -> str:
        return _explained(explanation or f"feature {_truth(truth).feature_shown(task) or 'unknown'}")

    return ScriptedJudge(
        "oracle",
        script=lambda task, _: _truth(truth).labels(task),
        simulate=lambda task: _truth(truth).levels(task),
        sort=lambda task, _: _truth(truth).trial_labels(task),
        explain=explain,
        variant=variant,
    )


def liar(truth: Key, *, explanation: str = _EXPLANATION, variant: str = "") -> ScriptedJudge:
    """Knows the labels and says the opposite."""
    return ScriptedJudge(
        "liar",
        script=lambda task, _: [not label for label in _truth(truth).labels(task)],
        simulate=lambda task: [HIGHEST - level for level in _truth(truth).levels(task)],
        sort=lambda task, _: _lies(task, _truth(truth).trial_labels(task)),
        explain=lambda _: _explained(explanation),
        variant=variant,
    )


def coin(*, seed: int = 0, heads: float = 0.5, explanation: str = _EXPLANATION) -> ScriptedJudge:
    """Says a passage fires with probability `heads`."""

    def script(task: ScoreTask, request: Request) -> list[bool]:
        return [_draw("coin", seed, task, passage, request.sample) < heads for passage in task.passages]

    variant = f"seed={seed} heads={heads!r} explanation={explanation}"
    return ScriptedJudge("coin", script=script, explain=lambda _: _explained(explanation), variant=variant)


def mumbler() -> ScriptedJudge:
    """Never says anything that can be parsed."""
    return ScriptedJudge("mumbler", script=lambda *_: _MUMBLE, explain=lambda _: _MUMBLE)


def noisy(
    truth: Key,
    *,
    sensitivity: float,
    specificity: float,
    seed: int = 0,
    explanation: str = _EXPLANATION,
    variant: str = "",
) -> ScriptedJudge:
    """Right with probability `sensitivity` on firing and `specificity` on silent passages."""

    def answer(task: ScoreTask, passage: Passage, label: bool, sample: int) -> bool:
        is_right = _draw("noisy", seed, task, passage, sample) < (sensitivity if label else specificity)
        return label if is_right else not label

    def script(task: ScoreTask, request: Request) -> list[bool]:
        labels = _truth(truth).labels(task)
        return [answer(task, p, label, request.sample) for p, label in zip(task.passages, labels, strict=True)]

    quality = f"{variant} sensitivity={sensitivity!r} specificity={specificity!r} seed={seed}"
    return ScriptedJudge("noisy", script=script, explain=lambda _: _explained(explanation), variant=quality)


def literal(*, explanation: str = _EXPLANATION) -> ScriptedJudge:
    """Applies the explanation's rule, `regex: PATTERN` or `token: TEXT`; others fire nowhere.

    A pattern must overlap the mark, a token equal it (outer white space aside). Of several marks half must match.
    """

    def script(task: ScoreTask, _: Request) -> list[bool]:
        return [_obeys(task.explanation, passage) for passage in task.passages]

    return ScriptedJudge(
        "literal", script=script, explain=lambda _: _explained(explanation), variant=f"explanation={explanation}"
    )


def _lies(task: Trial, labels: Sequence[bool]) -> list[bool]:
    """Opposite labels; for groups, a division that halves each."""
    if not isinstance(task, GroupTask):
        return [not label for label in labels]
    return [sum(other == label for other in labels[:place]) % 2 == 0 for place, label in enumerate(labels)]


def _explained(text: str) -> str:
    return f"[EXPLANATION]: {text}"


def _truth(key: Key) -> Truth:
    return key if isinstance(key, Truth) else key()


def _draw(use: str, seed: int, task: ScoreTask, passage: Passage, sample: int) -> float:
    marks = [str(passage.marks)] if passage.marks else []
    return unit_hash(use, seed, task.explanation, passage.text, str(passage.mark), *marks, sample)


def _obeys(explanation: str, passage: Passage) -> bool:
    if passage.marks:
        obeying = [_obeys(explanation, Passage(passage.text, mark)) for mark in passage.marks]
        return 2 * sum(obeying) >= len(obeying)
    kind, _, rule = explanation.strip().partition(":")
    rule, text, mark = rule.strip(), passage.text, passage.mark
    if kind == "token" and rule:
        return rule in text if mark is None else text[slice(*mark)].strip() == rule
    if kind == "regex" and rule:
        try:
            matches = list(re.finditer(rule, text))
        except re.error:
            return False
        return any(mark is None or (match.start() < mark[1] and mark[0] < match.end()) for match in matches)
    return False


Share = Annotated[float, Field(ge=0.0, le=1.0)]


class KeyOptions(Options):
    evidence: Path | None = None
    """A run's evidence, one .parquet file or a directory of them."""


class NoisyOptions(KeyOptions):
    sensitivity: Share = 0.8
    """Share of firing windows called firing."""
    specificity: Share = 0.8
    """Share of silent windows called silent."""
    seed: int = 0
    """Chooses the windows it errs about."""


class CoinOptions(Options):
    seed: int = 0
    """Which way the coin falls."""
    heads: Share = 0.5
    """Share of windows called firing."""


class LiteralOptions(Options):
    explanation: str = _EXPLANATION
    """What it explains every feature with."""


def _key(judge: str, options: KeyOptions) -> tuple[Callable[[], Truth], str]:
    path = options.evidence
    if path is None:
        raise ConfigError(
            f"judge '{judge}' needs the key: set judges.{judge}.evidence to a run's evidence directory, "
            "such as results/runs/NAME/evidence"
        )
    return cache(lambda: Truth.read(path)), f"evidence={path}"


def open_oracle(model: str | None, options: Mapping[str, Any]) -> ScriptedJudge:
    truth, variant = _key("oracle", read_options("oracle", KeyOptions, options))
    return oracle(truth, variant=variant)


def open_liar(model: str | None, options: Mapping[str, Any]) -> ScriptedJudge:
    truth, variant = _key("liar", read_options("liar", KeyOptions, options))
    return liar(truth, variant=variant)


def open_coin(model: str | None, options: Mapping[str, Any]) -> ScriptedJudge:
    checked = read_options("coin", CoinOptions, options)
    return coin(seed=checked.seed, heads=checked.heads)


def open_mumbler(model: str | None, options: Mapping[str, Any]) -> ScriptedJudge:
    read_options("mumbler", Options, options)
    return mumbler()


def open_noisy(model: str | None, options: Mapping[str, Any]) -> ScriptedJudge:
    checked = read_options("noisy", NoisyOptions, options)
    truth, variant = _key("noisy", checked)
    return noisy(
        truth,
        sensitivity=checked.sensitivity,
        specificity=checked.specificity,
        seed=checked.seed,
        variant=variant,
    )


def open_literal(model: str | None, options: Mapping[str, Any]) -> ScriptedJudge:
    return literal(explanation=read_options("literal", LiteralOptions, options).explanation)
