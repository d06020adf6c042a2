"""Scorer `last-token`: each text ends with the token in question, so the judge sees what the model saw, and no more."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from autointerp.config.asking import ScoreConfig, ScorerConfig
from autointerp.config.section import Count
from autointerp.judges.judge import Message, Reply, Request
from autointerp.judges.tasks import Passage, ScoreTask
from autointerp.prompting.marking import quote
from autointerp.prompting.parsing import parse_answers
from autointerp.records.evidence import Evidence
from autointerp.records.window import Window
from autointerp.score.listing import reply_schema
from autointerp.score.sampling import sample_items
from autointerp.score.scorer import AnswerRead, Item, Question, Scorer, Unscorable

PROMPT = """A feature of a language model fires when: {explanation}
Say for each text (quoted data) whether it fires on the last token: 1 if it does, 0 if not.
{texts}
Reply with one JSON object and nothing else, one entry per text: {{"answers": [...]}}"""


class LastTokenSettings(ScorerConfig):
    """An entry of score.scorers: the keys that all scorers have, and those declared here."""

    uses = ScorerConfig.uses - {"heading"}

    n_before: Count | None = None
    """Tokens shown before the one in question, at most; left out, all of the window's."""


class LastTokenScorer(Scorer):
    prompt_hash = hashlib.sha256(PROMPT.encode()).hexdigest()[:16]

    def __init__(self, settings: LastTokenSettings, score: ScoreConfig) -> None:
        super().__init__(settings, score)
        self._n_before = settings.n_before

    def sample(
        self, evidence: Evidence, rng: np.random.Generator, *, others: Sequence[Evidence]
    ) -> tuple[Item, ...] | Unscorable:
        return sample_items(evidence, self._settings, rng, others=others)

    def questions(self, explanation: str, items: Sequence[Item]) -> tuple[Question, ...]:
        size = self._settings.windows_per_request
        batches = [tuple(items[start : start + size]) for start in range(0, len(items), size)]
        return tuple(Question(self._request(explanation, batch), batch) for batch in batches)

    def read(self, question: Question, reply: Reply) -> tuple[AnswerRead, ...]:
        """One answer per window: what does not fit is unparsed for all of them, never filled up."""
        n = len(question.items)
        answers = None if reply.finish == "refused" else parse_answers(reply.text, n)
        if answers is None:
            return (AnswerRead("refused" if reply.finish == "refused" else "unparsed"),) * n
        return tuple(AnswerRead("unparsed" if a is None else "fires" if a else "silent") for a in answers)

    def _request(self, explanation: str, items: Sequence[Item]) -> Request:
        passages = [self._passage(item.window) for item in items]
        texts = "\n".join(f"{number}. {quote(passage.text)}" for number, passage in enumerate(passages, 1))
        return Request(
            task=ScoreTask(explanation, tuple(passages)),
            messages=(Message("user", PROMPT.format(explanation=quote(explanation), texts=texts)),),
            max_tokens=self._score.max_tokens,
            temperature=self._score.temperature,
            reply_schema=reply_schema(len(passages)),
        )

    def _passage(self, window: Window) -> Passage:
        place = window.candidate
        first = 0 if self._n_before is None else max(0, place - self._n_before)
        start, (begin, end) = window.character_span(first)[0], window.character_span(place)
        return Passage(window.text[start:end], mark=(begin - start, end - start))
