"""Scorer `logit_weights`: which vocabulary entries does the feature make more likely? (after Bricken et al. 2023)

Entries that explainers see are left out. Negatives alternate between suppressed entries and entries of random windows,
or are promoted by another feature.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, zip_longest

import numpy as np

from autointerp.config.asking import ScoreConfig, ScorerConfig
from autointerp.judges.tasks import Passage, ScoreTask
from autointerp.records.evidence import N_SHOWN_LOGITS, Evidence, TokenEffect
from autointerp.records.window import Kind, Window
from autointerp.score.listing import ListScorer
from autointerp.score.sampling import too_few
from autointerp.score.scorer import Item, Scale, Unscorable

__all__ = ["LogitWeightsScorer", "open_scorer"]

_Entry = tuple[int, str, Kind]


class LogitWeightsSettings(ScorerConfig):
    """Settings of `logit_weights`: positives are promoted entries, negatives others."""

    uses = frozenset({"n_positive", "n_negative", "windows_per_request", "negatives"})


class LogitWeightsScorer(ListScorer):
    """Asks about `windows_per_request` vocabulary entries at a time."""

    about = "output"

    @property
    def scale(self) -> Scale:
        return Scale("tokens")

    def sample(
        self, evidence: Evidence, rng: np.random.Generator, *, others: Sequence[Evidence]
    ) -> tuple[Item, ...] | Unscorable:
        """The `n_positive` strongest promoted entries and `n_negative` others, shuffled, with distinct texts."""
        settings = self._settings
        if not evidence.top_logits:
            return Unscorable("too_few_positives", f"{evidence.site} has no linear way to the logits, so no effects")
        pinned = () if evidence.pinned is None else (evidence.pinned.raised, evidence.pinned.lowered)
        ranked = (evidence.top_logits, evidence.bottom_logits, *pinned)
        texts = {effect.text for effects in ranked for effect in effects[:N_SHOWN_LOGITS]}
        promoted = _distinct(_held_out(evidence.top_logits, "promoted"), settings.n_positive, texts)
        if settings.negatives == "other_feature":
            other = next((e for e in others if e.feature != evidence.feature), None)
            silent: Iterable[_Entry] = _held_out(other.top_logits, "other") if other is not None else ()
        else:
            known = {effect.token_id for effect in (*evidence.top_logits, *evidence.bottom_logits)}
            pairs = zip_longest(_held_out(evidence.bottom_logits, "suppressed"), _unknown(evidence, known, rng))
            silent = (entry for entry in chain.from_iterable(pairs) if entry is not None)
        others_found = _distinct(silent, settings.n_negative, texts)
        shortage = too_few("entries that it promotes", len(promoted), settings.n_positive)
        if shortage is not None:
            return Unscorable("too_few_positives", f"{shortage}; set harvest.n_logits to {N_SHOWN_LOGITS + 20} or more")
        shortage = too_few("entries that it does not promote", len(others_found), settings.n_negative)
        if shortage is not None:
            return Unscorable("too_few_negatives", shortage)
        items = [Item(_as_window(entry), entry[2], entry[2] == "promoted") for entry in (*promoted, *others_found)]
        return tuple(items[index] for index in rng.permutation(len(items)))

    def _task(self, explanation: str, passages: tuple[Passage, ...]) -> ScoreTask:
        return ScoreTask(explanation, passages, asks="promotes")


def _held_out(effects: Sequence[TokenEffect], kind: Kind) -> Iterator[_Entry]:
    """The entries explainers never see, strongest first."""
    return ((effect.token_id, effect.text, kind) for effect in effects[N_SHOWN_LOGITS:])


def _unknown(evidence: Evidence, known: set[int], rng: np.random.Generator) -> list[_Entry]:
    """Entries of the random windows outside `known`, in random order."""
    texts: dict[int, str] = {}
    for window in sorted(evidence.select("score", "random"), key=lambda window: window.id):
        for index, token in enumerate(window.token_ids):
            if token not in known:
                texts.setdefault(token, window.token_text(index))
    entries = sorted(texts.items())
    return [(*entries[place], "random") for place in rng.permutation(len(entries))]


def _distinct(entries: Iterable[_Entry], n: int, texts: set[str]) -> list[_Entry]:
    """The first `n` readable entries whose texts are not in `texts`, which they then join."""
    chosen: list[_Entry] = []
    for entry in entries:
        text = entry[1]
        if len(chosen) < n and text.strip() and "\ufffd" not in text and text not in texts:
            chosen.append(entry)
            texts.add(text)
    return chosen


def _as_window(entry: _Entry) -> Window:
    """The entry as a window of one token in a document of its own."""
    token, text, kind = entry
    name = f"token:{token}"
    return Window(
        id=name,
        document=name,
        offset=0,
        role="score",
        kind=kind,
        bin=None,
        text=text,
        token_ids=(token,),
        token_starts=(0, len(text.encode())),
        activations=(0.0,),
        candidate=0,
    )


def open_scorer(settings: LogitWeightsSettings, score: ScoreConfig) -> LogitWeightsScorer:
    return LogitWeightsScorer(settings, score, prompt="logit_weights", has_marks=False, noun="entries")
