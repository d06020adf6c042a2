"""Scorer `intervention`: which of two lists of tokens changes when the feature is pinned high?

The other feature is pinned to a like divergence; tokens that explainers see are never shown. After Gur-Arieh et al.
2025 (arXiv 2501.08319).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from autointerp.config.asking import ScoreConfig
from autointerp.judges.tasks import PickEffectTask, ShownEffect
from autointerp.prompting.marking import quote
from autointerp.records.evidence import N_SHOWN_LOGITS, Evidence, PinnedEffect, TokenEffect
from autointerp.score.scorer import Item, Scale, Unscorable
from autointerp.score.trials import TrialScorer, TrialSettings

__all__ = ["N_TOKENS", "InterventionScorer", "open_scorer"]

N_TOKENS = 8  # tokens shown per list, drawn anew in each trial
_FARTHEST = 1.5  # largest ratio of the divergences of two matched effects


def open_scorer(settings: TrialSettings, score: ScoreConfig) -> InterventionScorer:
    return InterventionScorer(settings, score, prompt="intervention", noun="changes")


class InterventionScorer(TrialScorer):
    """`n_trials` trials; the other features take turns."""

    about = "output"
    scale = Scale("choices", chance=0.5)

    def sample(
        self, evidence: Evidence, rng: np.random.Generator, *, others: Sequence[Evidence]
    ) -> tuple[Item, ...] | Unscorable:
        """The trials, each against a feature that changes other tokens."""
        window = next(iter(evidence.select("score", "top", "bin")), None)
        if window is None or evidence.pinned is None:
            lacks = "windows" if window is None else "outputs; set harvest.pinned and harvest again"
            return Unscorable("too_few_positives", f"the evidence holds no {lacks}")
        own = _held_out(evidence, evidence.pinned)
        rivals = [
            (other.feature, _held_out(other, other.pinned))
            for other in others
            if other.pinned is not None
            and other.feature != evidence.feature
            and _are_matched(evidence.pinned, other.pinned)
        ]
        rivals = [(feature, effect) for feature, effect in rivals if _texts(effect.raised) != _texts(own.raised)]
        if not own.raised or not rivals:
            what = "entries are held out" if not own.raised else "other feature is pinned as strongly"
            return Unscorable("too_few_negatives", f"no {what}; raise harvest.n_logits or harvest.n_features")
        order = rng.permutation(len(rivals))
        trials = []
        for number in range(self._n_trials):
            feature, rival = rivals[order[number % len(rivals)]]
            shown = [_drawn(own, rng), _drawn(rival, rng)]
            place = int(rng.integers(2))
            trials.append(
                Item(
                    window=window,
                    kind=window.kind,
                    is_firing=True,
                    id=f"trial {number}: pinned against {feature}",
                    shown=(shown[place], shown[1 - place]),
                    places=(place,),
                )
            )
        return tuple(trials)

    def words(self, explanation: str, item: Item) -> tuple[PickEffectTask, dict[str, Any]]:
        effects = tuple(
            ShownEffect(_texts(shown.raised), _texts(shown.lowered))
            for shown in item.shown
            if isinstance(shown, PinnedEffect)
        )
        task = PickEffectTask(explanation, effects)
        written = [{"raised": _listed(effect.raised), "lowered": _listed(effect.lowered)} for effect in effects]
        return task, {"explanation": quote(explanation), "n_effects": len(written), "effects": written}


def _held_out(evidence: Evidence, effect: PinnedEffect) -> PinnedEffect:
    """The tokens that explainers never see, most changed first."""
    ranked = (evidence.top_logits, evidence.bottom_logits, effect.raised, effect.lowered)
    told = {entry.text for entries in ranked for entry in entries[:N_SHOWN_LOGITS]}
    raised, lowered = (
        tuple(entry for entry in entries[N_SHOWN_LOGITS:] if entry.text not in told)
        for entries in (effect.raised, effect.lowered)
    )
    return replace(effect, raised=raised, lowered=lowered)


def _drawn(effect: PinnedEffect, rng: np.random.Generator) -> PinnedEffect:
    def draw(entries: tuple[TokenEffect, ...]) -> tuple[TokenEffect, ...]:
        places = sorted(rng.permutation(len(entries))[:N_TOKENS].tolist())
        return tuple(entries[place] for place in places)

    return replace(effect, raised=draw(effect.raised), lowered=draw(effect.lowered))


def _are_matched(first: PinnedEffect, second: PinnedEffect) -> bool:
    low, high = sorted((first.kl, second.kl))
    return 0.0 < high <= _FARTHEST * low


def _texts(entries: Sequence[TokenEffect]) -> tuple[str, ...]:
    return tuple(entry.text for entry in entries)


def _listed(tokens: Sequence[str]) -> str:
    return ", ".join(map(quote, tokens))
