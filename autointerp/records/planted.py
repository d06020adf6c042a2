"""Evidence of a made-up feature for the contract kits of explainers and scorers.

It fires on " lantern" except after " no". Every window has its own document, but one `score` window (the trap) repeats
an `explain` window's text.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import accumulate

import numpy as np

from autointerp.records.document import Role
from autointerp.records.evidence import Evidence, FiringRule, PinnedEffect, TokenEffect, TokenUse
from autointerp.records.window import ACTIVATING, Kind, Window
from autointerp.seeds import stream

__all__ = ["TRAP", "plant_evidence"]

TRAP = "trap"
"""Document of the window that repeats an explained text."""

_FIRES, _BEFORE_SILENT = " lantern", " no"
# fmt: off
_FILLERS = (
    " the", " river", " stone", " harbour", " meadow", " copper", " winter", " garden", " silver", " café", " naïve",
    " basket", " thunder", " orchard", " velvet", " marble", " pepper", " saddle", " whisper", " bridge", " 東京", ",",
)
# fmt: on
_N_TOKENS = 9
_COUNTS: dict[Kind, int] = {"top": 8, "bin": 15, "random": 20, "near_miss": 10}
_N_BINS = 3
_N_LOGITS = 30


@cache
def plant_evidence(feature: int = 0, *, without: frozenset[Kind] = frozenset()) -> Evidence:
    """Always the same, less the kinds in `without`; features differ in fillers and pinned effects."""
    windows = [
        _window(feature, role, kind, index)
        for role in ("explain", "score")
        for kind, count in _COUNTS.items()
        if kind not in without
        for index in range(count)
    ]
    shown = next((window for window in windows if window.kind == "top"), None)
    if shown is not None:
        windows.append(replace(shown, id=f"{TRAP}@0", document=TRAP, role="score"))
    return Evidence(
        dictionary="planted",
        feature=feature,
        site="mlp_post.0",
        rule=FiringRule("above_zero"),
        n_tokens=100_000,
        n_firing=500,
        density=0.005,
        max_activation=8.0,
        histogram_edges=(1.0, 10.0),
        histogram_counts=(500,),
        windows=tuple(windows),
        top_logits=tuple(
            TokenEffect(1000 + rank, text, 1.5 - 0.05 * rank) for rank, text in enumerate(_entries(" light"))
        ),
        bottom_logits=tuple(
            TokenEffect(2000 + rank, text, 0.05 * rank - 1.5) for rank, text in enumerate(_entries(" dark"))
        ),
        token_uses=(TokenUse(_token_id(_FIRES), _FIRES, 250, 300),),
        neuron=None,
        unscored=None,
        pinned=_pinned(feature),
    )


def _pinned(feature: int) -> PinnedEffect:
    """Effect of pinning, with entries of its own for each feature."""
    own = f"{feature}-" if feature else ""
    raised = tuple(TokenEffect(1000 + i, text, 2.5 - 0.05 * i) for i, text in enumerate(_entries(f" light{own}")))
    lowered = tuple(TokenEffect(2000 + i, text, 0.05 * i - 2.0) for i, text in enumerate(_entries(f" dark{own}")))
    return PinnedEffect(raised, lowered, kl=0.5, strength=8.0)


def _entries(word: str) -> list[str]:
    """Distinct vocabulary entries."""
    return [word, *(f"{word}{rank}" for rank in range(1, _N_LOGITS))]


def _window(feature: int, role: Role, kind: Kind, index: int) -> Window:
    rng = stream(0, "planted", feature, role, kind, index)
    pieces = [_FILLERS[int(i)] for i in rng.integers(len(_FILLERS), size=_N_TOKENS)]
    candidate = int(rng.integers(1, _N_TOKENS))
    if kind != "random":
        pieces[candidate] = _FIRES
    if kind == "near_miss":
        pieces[candidate - 1] = _BEFORE_SILENT
    pieces.append(f" {feature}{role[0]}{kind[0]}{index}")  # so that no two windows are alike
    strength = 8.0 - 0.1 * index if kind == "top" else 1.0 + 2.0 * (index % _N_BINS) + 0.05 * index
    activations = np.zeros(len(pieces))
    if kind in ACTIVATING:
        activations[candidate] = strength
    name = f"{feature}-{role}-{kind}-{index}"
    return Window(
        id=f"{name}@0",
        document=name,
        offset=0,
        role=role,
        kind=kind,
        bin=(_N_BINS - 1 if kind == "top" else index % _N_BINS) if kind in ACTIVATING else None,
        text="".join(pieces),
        token_ids=tuple(_token_id(piece) for piece in pieces),
        token_starts=(0, *accumulate(len(piece.encode()) for piece in pieces)),
        activations=tuple(float(value) for value in activations),
        candidate=candidate,
    )


def _token_id(piece: str) -> int:
    """By place in the vocabulary; the pieces of single windows share the last."""
    vocabulary = (_FIRES, _BEFORE_SILENT, *_FILLERS)
    return vocabulary.index(piece) if piece in vocabulary else len(vocabulary)
