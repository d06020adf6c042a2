"""Scorer `intruder`: the feature fires in four of five windows; which is the fifth? (Paulo & Belrose 2025, 2507.08473)

No explanation is needed; chance is 1 in 5.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from autointerp.config.asking import ScoreConfig
from autointerp.judges.tasks import IntruderTask
from autointerp.prompting.choosing import distinct
from autointerp.records.evidence import Evidence
from autointerp.records.window import Kind, Window
from autointerp.score.sampling import besides, choose_positives, too_few
from autointerp.score.scorer import Item, Scale, Unscorable
from autointerp.score.trials import TrialScorer, WindowTrialSettings, as_passage, deal

__all__ = ["N_SHOWN", "IntruderScorer", "IntruderSettings", "open_scorer"]

N_SHOWN = 5  # windows of a trial, intruder included


class IntruderSettings(WindowTrialSettings):
    intruders: Literal["random", "near_miss", "other_feature"] = "random"
    """Where the window that does not belong comes from: silent windows, silent windows with a token the feature fires
    on, or the top windows of other features."""


def open_scorer(settings: IntruderSettings, score: ScoreConfig) -> IntruderScorer:
    return IntruderScorer(settings, score)


class IntruderScorer(TrialScorer):
    """`n_trials` trials with intruders of one kind."""

    scale = Scale("choices", chance=1 / N_SHOWN, needs_explanation=False)

    def __init__(self, settings: IntruderSettings, score: ScoreConfig) -> None:
        super().__init__(settings, score, prompt="intruder", noun="windows")
        self._has_marks, self._intruders = settings.marks, settings.intruders

    def sample(
        self, evidence: Evidence, rng: np.random.Generator, *, others: Sequence[Evidence]
    ) -> tuple[Item, ...] | Unscorable:
        """The trials; a window may serve in several, but only once in each."""
        n, n_own = self._n_trials, N_SHOWN - 1
        own = choose_positives(evidence, self._settings, n * n_own, rng)
        shortage = too_few("positives", len(own), n * n_own)
        if shortage is not None:
            return Unscorable("too_few_positives", shortage)
        strangers = self._strangers(evidence, others)
        shortage = too_few("intruders", len(strangers), n)
        if shortage is not None:
            return Unscorable("too_few_negatives", shortage)
        hands = zip(deal(own, n_own, n, rng), deal(strangers, 1, n, rng), strict=True)
        return tuple(self._trial(number, hand, intruder, rng) for number, (hand, (intruder,)) in enumerate(hands))

    def words(self, explanation: str, item: Item) -> tuple[IntruderTask, dict[str, Any]]:
        has_marks = self._has_marks
        windows = [window for window in item.shown if isinstance(window, Window)]
        task = IntruderTask(tuple(as_passage(window, has_marks=has_marks) for window in windows))
        shown = [self._notation.write(passage.text, passage.marks if has_marks else None) for passage in task.passages]
        return task, {"has_marks": has_marks, "n_windows": len(shown), "windows": shown}

    def _strangers(self, evidence: Evidence, others: Sequence[Evidence]) -> list[Window]:
        """Windows in which the feature is silent, as far as is known."""
        own = [*evidence.select("explain"), *evidence.select("score", "top", "bin")]
        if self._intruders == "other_feature":
            lent = [w for e in others if e.feature != evidence.feature for w in e.select("score", "top")]
            return distinct(besides(lent, own))
        kind: Kind = "near_miss" if self._intruders == "near_miss" else "random"
        return distinct(besides(evidence.select("score", kind), own))

    def _trial(self, number: int, own: Sequence[Window], intruder: Window, rng: np.random.Generator) -> Item:
        kinds: dict[str, Kind] = {"other_feature": "other", "random": "random", "near_miss": "near_miss"}
        # All windows of a trial have marks, and as many, so marks do not tell the intruder.
        shown = intruder
        if self._has_marks and not any(value > 0.0 for value in intruder.activations):
            n_fired = [sum(value > 0.0 for value in window.activations) for window in own]
            shown = _with_marks(intruder, n_fired[int(rng.integers(len(n_fired)))], rng)
        windows = [*own, shown]
        order = rng.permutation(len(windows))
        return Item(
            window=intruder,
            kind=kinds[self._intruders],
            is_firing=True,
            id=f"trial {number}: {intruder.id}",
            shown=tuple(windows[index] for index in order),
            places=(int(np.argmax(order)),),
        )


def _with_marks(window: Window, n: int, rng: np.random.Generator) -> Window:
    """The silent window with `n` marked tokens, its candidate among them."""
    rest = [index for index in range(len(window.token_ids)) if index != window.candidate]
    marked = {window.candidate, *(rest[index] for index in rng.permutation(len(rest))[: n - 1])}
    return replace(window, activations=tuple(float(i in marked) for i in range(len(window.token_ids))))
