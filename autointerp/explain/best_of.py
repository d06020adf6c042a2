"""Explainer `best_of`: several explanations per feature, of which a scorer keeps the best predictor.

Candidates are judged on `explain` windows from documents kept out of their prompts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

import numpy as np
from pydantic import Field

from autointerp.config.asking import ExplainConfig, ExplainerConfig, ExplainerEntry, ScoreConfig, ScorerEntry
from autointerp.config.section import Rate
from autointerp.errors import ConfigError
from autointerp.explain import opening
from autointerp.explain.explainer import Explainer, Reading, Round
from autointerp.judges.judge import Reply, Request
from autointerp.judges.tasks import ExplainTask
from autointerp.records.evidence import Evidence
from autointerp.score.opening import open_scorer
from autointerp.score.scorer import AnswerRead, Item, Measure, Scorer, Unscorable
from autointerp.stats.metrics import auroc
from autointerp.stats.simulation import correlation

__all__ = ["BestOfExplainer", "BestOfSettings", "open_explainer", "split_evidence"]

VALIDATION_FRAC = 0.4  # share of the `explain` documents that candidates are judged on
N_VALIDATION = 10  # most windows per label that a candidate is judged on


class BestOfSettings(ExplainerConfig, extra="allow"):
    """Settings of `best_of`; other keys belong to the explainer of the candidates."""

    n_candidates: Annotated[int, Field(ge=2, strict=True)] = 4
    """Explanations asked for; one is kept."""
    candidates_of: str = "windows"
    """The explainer that is asked for candidates; its settings stand beside."""
    candidate_temperature: Rate = 0.8
    """Temperature of the candidates; at 0 all would be the same."""
    chosen_by: str = "detection"
    """The scorer that picks among the candidates, on windows kept out of their prompts."""


_OWN = BestOfSettings.model_fields.keys() - ExplainerConfig.model_fields.keys() | {"name", "label"}


def open_explainer(settings: BestOfSettings, config: ExplainConfig) -> BestOfExplainer:
    """The explainer `best_of`. Raises ConfigError for an explainer or scorer that cannot serve."""
    if settings.candidates_of == settings.name:
        raise ConfigError("explain.explainers: candidates_of = 'best_of' names itself; name another explainer")
    asked = ExplainerEntry(name=settings.candidates_of, **settings.model_dump(exclude=_OWN, exclude_unset=True))
    opening.check_explainer_settings(asked)
    explainer = opening.open_explainer(asked, config)
    if explainer.asks != "once":
        raise ConfigError(
            f"explain.explainers: candidates_of = '{asked.name}' gives no two candidates by one question; "
            "name an explainer that asks a judge once, such as 'windows'"
        )
    judged = ScorerEntry(
        name=settings.chosen_by, n_positive=N_VALIDATION, n_negative=N_VALIDATION, n_near_miss=N_VALIDATION // 2
    )
    score = ScoreConfig(max_tokens=config.max_tokens, prompts=2 if config.prompts in (None, 2) else 1)
    scorer = open_scorer(judged, score)
    why = _unfit(scorer)
    if why is not None:
        raise ConfigError(
            f"explain.explainers: chosen_by = '{judged.name}' {why}; name a scorer of windows such as 'detection'"
        )
    return BestOfExplainer(settings, config, explainer, scorer)


def _unfit(scorer: Scorer) -> str | None:
    """Why a scorer cannot choose, or None."""
    if not scorer.scale.needs_explanation:
        return "needs no explanation"
    if scorer.scale.measure == "tokens":
        return "asks about the very tokens that are scored"
    if scorer.needed is not None:
        return "takes a judge of its own kind, and here the one that explains chooses"
    return None


class BestOfExplainer(Explainer):
    """Asks `explainer` for candidates and `scorer` about each; keeps the best, the first of equals."""

    asks = "in rounds"

    def __init__(self, settings: BestOfSettings, config: ExplainConfig, explainer: Explainer, scorer: Scorer) -> None:
        super().__init__(settings, config)
        self._n_candidates, self._temperature = settings.n_candidates, settings.candidate_temperature
        self._explainer, self._scorer = explainer, scorer

    @property
    def prompt_hash(self) -> str:
        """Hash of both prompts and the number of candidates."""
        hashes = self._explainer.prompt_hash, self._scorer.prompt_hash, str(self._n_candidates)
        return hashlib.sha256(" ".join(hashes).encode()).hexdigest()[:16]

    def requests(self, evidence: Evidence, rng: np.random.Generator) -> tuple[Request, ...]:
        """The explainer's request once per candidate, as separate samples."""
        shown, _ = split_evidence(evidence, rng)
        n, temperature = self._n_candidates, self._temperature
        asked = self._explainer.requests(shown, rng)
        return tuple(
            replace(request, sample=request.sample * n + candidate, temperature=temperature)
            for candidate in range(n)
            for request in asked
        )

    def read(self, replies: Sequence[Reply]) -> Reading:
        """The first readable candidate; `follow` chooses among them."""
        readings = self._candidates(replies)
        return next((reading for reading in readings if reading.text is not None), readings[0])

    def reask(self, request: Request, replies: Sequence[Reply]) -> Request | None:
        """As the explainer of the candidates does."""
        return self._explainer.reask(request, replies) if isinstance(request.task, ExplainTask) else None

    def follow(
        self, evidence: Evidence, rounds: Sequence[Round], rng: np.random.Generator
    ) -> tuple[Request, ...] | Reading:
        """The questions about the candidates, then the best candidate."""
        readings = self._candidates(rounds[0])
        texts = list(dict.fromkeys(reading.text for reading in readings if reading.text is not None))
        if len(texts) < 2:
            return Reading(texts[0]) if texts else readings[0]
        _, validation = split_evidence(evidence, rng)
        items = self._scorer.sample(validation, rng, others=())
        if isinstance(items, Unscorable):
            return Reading(texts[0])
        questions = [self._scorer.questions(text, items) for text in texts]
        if len(rounds) == 1:
            return tuple(question.request for asked in questions for question in asked)
        replies, values = iter(rounds[1]), []
        for asked in questions:
            pairs: list[tuple[Item, AnswerRead]] = []
            for question in asked:
                reply = next(replies)
                lost = (AnswerRead("error"),) * len(question.items)
                read = lost if reply is None else self._scorer.read(question, reply)
                pairs += zip(question.items, read, strict=True)
            values.append(_value(self._scorer.scale.measure, pairs))
        return Reading(texts[int(np.argmax(values))])

    def _candidates(self, replies: Round) -> list[Reading]:
        size = max(1, len(replies) // self._n_candidates)
        readings: list[Reading] = []
        for start in range(0, len(replies), size):
            known = [reply for reply in replies[start : start + size] if reply is not None]
            readings.append(self._explainer.read(known) if len(known) == size else Reading(None, "error"))
        return readings


def split_evidence(evidence: Evidence, rng: np.random.Generator) -> tuple[Evidence, Evidence]:
    """The evidence shown to explain, and the evidence to judge candidates, its held-out windows in role `score`.

    Both hold `explain` windows only and share no document.
    """
    windows = evidence.select("explain")
    documents = sorted({window.document for window in windows})
    n_kept_out = round(VALIDATION_FRAC * len(documents))
    kept_out = {documents[index] for index in rng.permutation(len(documents))[:n_kept_out]}
    shown = tuple(window for window in windows if window.document not in kept_out)
    judged = tuple(replace(window, role="score") for window in windows if window.document in kept_out)
    return replace(evidence, windows=shown), replace(evidence, windows=(*shown, *judged))


def _value(measure: Measure, pairs: Sequence[tuple[Item, AnswerRead]]) -> float:
    """How well a candidate predicts; missing answers are wrong.

    Correlation over tokens, AUROC of ranked windows (0 and 0.5 if undefined), else balanced accuracy.
    """
    if measure in ("activations", "firings"):
        rows = []
        for item, read in pairs:
            true = [float(a > 0.0) if measure == "firings" else a for a in item.window.activations]
            rows.append((true, read.predictions or (0.0,) * len(true)))
        return correlation(rows) or 0.0
    if measure == "ranks":
        ranked = [0.5 if read.probability is None else read.probability for _, read in pairs]
        value = auroc([item.is_firing for item, _ in pairs], ranked)
        return 0.5 if value is None else value
    shares = []
    for label, word in ((True, "fires"), (False, "silent")):
        answers = [read.answer == word for item, read in pairs if item.is_firing == label]
        shares += [sum(answers) / len(answers)] if answers else []
    return float(np.mean(shares))
