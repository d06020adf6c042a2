"""Scorer `clustering`: the judge sorts windows of this feature and of another into two groups, without an explanation.

Half of the scored pairs of windows are of one feature, so chance is 0.5.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations, groupby

import numpy as np

from autointerp.config.asking import ScoreConfig
from autointerp.judges.judge import Reply, Request
from autointerp.judges.tasks import GroupTask
from autointerp.prompting.choosing import distinct
from autointerp.prompting.parsing import diagnose, parse_answers
from autointerp.prompting.refusals import is_refusal
from autointerp.records.evidence import Evidence
from autointerp.records.window import Window
from autointerp.score.listing import reply_schema
from autointerp.score.prompted import PromptedScorer
from autointerp.score.sampling import MIN_WINDOWS, besides, choose_positives
from autointerp.score.scorer import AnswerRead, Item, Question, Scale, Unscorable
from autointerp.score.trials import WindowTrialSettings, as_passage, deal

__all__ = ["N_OTHER", "N_OWN", "ClusteringScorer", "open_scorer"]

# Windows of a trial. With a and b windows of the two features, like pairs equal unlike ones if (a - b)^2 = a + b.
N_OWN, N_OTHER = 6, 3
_N_PAIRS = 6  # pairs of each sort that are scored per trial


def open_scorer(settings: WindowTrialSettings, score: ScoreConfig) -> ClusteringScorer:
    return ClusteringScorer(settings, score)


class ClusteringScorer(PromptedScorer):
    """`n_trials` requests; a pair fires if both of its windows are of this feature, or both of the other."""

    scale = Scale("choices", chance=0.5, needs_explanation=False)

    def __init__(self, settings: WindowTrialSettings, score: ScoreConfig) -> None:
        super().__init__(settings, score, prompt="clustering", again="reask")
        self._n_trials, self._has_marks = settings.n_trials, settings.marks

    def sample(
        self, evidence: Evidence, rng: np.random.Generator, *, others: Sequence[Evidence]
    ) -> tuple[Item, ...] | Unscorable:
        """The pairs, trial by trial; the other features take turns."""
        n = self._n_trials
        own = choose_positives(evidence, self._settings, n * N_OWN, rng)
        if len(own) < N_OWN:
            return Unscorable("too_few_positives", f"{len(own)} activating windows, a trial takes {N_OWN}")
        lenders = [hands for e in others if e.feature != evidence.feature for hands in self._lent(evidence, e, rng)]
        if not lenders:
            return Unscorable("too_few_negatives", f"no other feature has {MIN_WINDOWS} windows to mix its own with")
        hands = deal(own, N_OWN, n, rng)
        trials = (self._trial(i, hand, lenders[i % len(lenders)].pop(), rng) for i, hand in enumerate(hands))
        return tuple(item for trial in trials for item in trial)

    def questions(self, explanation: str, items: Sequence[Item]) -> tuple[Question, ...]:
        trials = (tuple(pairs) for _, pairs in groupby(items, key=lambda item: item.shown))
        return tuple(Question(self._request(pairs[0]), pairs) for pairs in trials)

    def read(self, question: Question, reply: Reply) -> tuple[AnswerRead, ...]:
        """`fires` for a pair put together, `silent` for one put apart; all unparsed if a window has no group."""
        n = len(question.items)
        if reply.finish == "refused":
            return (AnswerRead("refused"),) * n
        groups = self._groups(question, reply)
        if groups is None:
            return (AnswerRead("refused" if is_refusal(reply.text) else "unparsed"),) * n
        pairs = (item.places for item in question.items)
        return tuple(AnswerRead("fires" if groups[a] == groups[b] else "silent") for a, b in pairs)

    def _describe(self, question: Question, reply: Reply) -> Mapping[str, object]:
        n = len(question.items[0].shown)
        problem = diagnose(reply.text, n, is_cut=reply.finish == "length")
        return {"n_answers": n, "noun": "windows", "problem": problem}

    def _lent(self, evidence: Evidence, other: Evidence, rng: np.random.Generator) -> list[list[list[Window]]]:
        """One list with the hands another feature lends, or no list if it has too few windows."""
        own = [*evidence.select("explain"), *evidence.select("score", "top", "bin")]
        windows = distinct(besides(other.select("score", "top", "bin"), own))
        return [deal(windows, N_OTHER, self._n_trials, rng)] if len(windows) >= MIN_WINDOWS else []

    def _trial(
        self, number: int, own: Sequence[Window], other: Sequence[Window], rng: np.random.Generator
    ) -> tuple[Item, ...]:
        windows = [*own, *other]
        order = [int(index) for index in rng.permutation(len(windows))]
        shown = tuple(windows[index] for index in order)
        is_own = [index < len(own) for index in order]
        pairs = list(combinations(range(len(shown)), 2))
        drawn: list[tuple[int, int]] = []
        for is_alike in (True, False):
            fitting = [(a, b) for a, b in pairs if (is_own[a] == is_own[b]) == is_alike]
            drawn += [fitting[index] for index in rng.permutation(len(fitting))[:_N_PAIRS]]
        return tuple(
            Item(
                window=shown[a],
                kind="top" if is_own[a] == is_own[b] else "other",
                is_firing=is_own[a] == is_own[b],
                id=f"trial {number}: {shown[a].id} with {shown[b].id}",
                shown=shown,
                places=(a, b),
            )
            for a, b in sorted(drawn)
        )

    def _request(self, item: Item) -> Request:
        has_marks = self._has_marks
        windows = [window for window in item.shown if isinstance(window, Window)]
        task = GroupTask(tuple(as_passage(window, has_marks=has_marks) for window in windows))
        shown = [self._notation.write(passage.text, passage.marks if has_marks else None) for passage in task.passages]
        messages = self._prompt.render(has_marks=has_marks, n_windows=len(shown), windows=shown)
        return self._ask(task, messages, reply_schema(len(shown)))

    @staticmethod
    def _groups(question: Question, reply: Reply) -> list[int] | None:
        n = len(question.items[0].shown)
        answers = parse_answers(reply.text, n, is_cut=reply.finish == "length")
        if answers is None or None in answers:
            return None
        return [int(group or 0) for group in answers]
