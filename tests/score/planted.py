"""Planted features over made-up text: the rule is known, so what a judge says about them can be checked."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence

import numpy as np

from autointerp.records.evidence import Evidence, FiringRule, TokenEffect
from autointerp.records.window import Kind, Window
from autointerp.seeds import stream

Rule = Callable[[Sequence[str], int], bool]

STEMS = [" walk", " talk", " jump", " look", " play", " work", " turn", " open"]
NAMES = [" alpha", " beta", " gamma", " delta", " self", " None", " def", " class", " return", " apple", " a", " the"]
SIGNS = [".", ",", ":", "(", ")", "\n", " =", ' "']
FILLERS = [f" w{chr(97 + i)}{chr(97 + j)}" for i in range(12) for j in range(12)]
VOCABULARY = [*STEMS, *NAMES, *SIGNS, "ing", "ed", "s", *FILLERS]
PLACES = {piece: place for place, piece in enumerate(VOCABULARY)}
WORDS = [*STEMS, *NAMES, *SIGNS, *FILLERS]
WEIGHTS = np.concatenate([np.full(len(WORDS) - len(FILLERS), 3.0), np.full(len(FILLERS), 0.6)])
UP_TO = (np.cumsum(WEIGHTS) / WEIGHTS.sum()).tolist()
"""The share of all draws that fall on a word or one before it."""


def fires_on(*tokens: str) -> Rule:
    """The rule of a token feature."""
    return lambda pieces, index: pieces[index] in tokens


def fires_after(token: str, context: str) -> Rule:
    """The rule of a feature that wants a token directly after another."""
    return lambda pieces, index: index > 0 and pieces[index] == token and pieces[index - 1] == context


def make_text(rng: np.random.Generator, n_tokens: int) -> list[str]:
    """A document as pieces: words with Zipf-like frequencies, some of them with endings."""
    pieces: list[str] = []
    while len(pieces) < n_tokens:
        word = WORDS[bisect_right(UP_TO, rng.random())]
        pieces.append(word)
        if word in STEMS and rng.random() < 0.6:
            pieces.append(("ing", "ed", "s")[int(rng.integers(3))])
    return pieces[:n_tokens]


def make_window(
    pieces: Sequence[str],
    activations: Sequence[float],
    *,
    name: str,
    role: str = "score",
    kind: Kind = "top",
    candidate: int = 0,
    bin_index: int | None = None,
    offset: int = 0,
) -> Window:
    """A window of whole-character tokens."""
    starts = np.concatenate([[0], np.cumsum([len(piece.encode()) for piece in pieces])])
    return Window(
        id=name,
        document=name.split("@")[0],
        offset=offset,
        role=role,  # type: ignore[arg-type]
        kind=kind,
        bin=bin_index,
        text="".join(pieces),
        token_ids=tuple(PLACES.get(piece, 0) for piece in pieces),
        token_starts=tuple(int(start) for start in starts),
        activations=tuple(float(a) for a in activations),
        candidate=candidate,
    )


def make_evidence(
    rule: Rule,
    *,
    feature: int = 0,
    dictionary: str = "planted",
    seed: int = 0,
    density: float | None = None,
    n_documents: int = 600,
    length: int = 24,
    n_bins: int = 5,
) -> Evidence:
    """The evidence of a planted feature, every window from a document of its own."""
    rng = stream(seed, "planted", dictionary, feature)
    may_fire = {piece for piece in VOCABULARY if fires_somewhere(rule, piece)}
    windows: list[Window] = []
    counts: dict[tuple[str, str], int] = {}
    n_firing = 0
    for number in range(n_documents):
        role = "explain" if number % 2 else "score"
        pieces = make_text(rng, length)
        fired = [index for index in range(length) if rule(pieces, index)]
        activations = [0.0] * length
        for index in fired:
            activations[index] = float(np.exp(rng.uniform(0.0, 2.0)))
        n_firing += len(fired)
        tokens = may_fire.intersection(pieces)
        kind: Kind = "random"
        candidate, bin_index = int(rng.integers(length)), None
        if fired:
            candidate = int(np.argmax(activations))
            bin_index = min(n_bins - 1, int(np.log(activations[candidate]) / 2.0 * n_bins))
            kind = "top" if counts.get((role, "top"), 0) < 12 else "bin"
        elif tokens:
            kind = "near_miss"
            candidate = next(index for index, piece in enumerate(pieces) if piece in tokens)
        if counts.get((role, kind), 0) >= 40:
            continue
        counts[role, kind] = counts.get((role, kind), 0) + 1
        windows.append(
            make_window(
                pieces,
                activations,
                name=f"{dictionary}/{feature}/{number}@0",
                role=role,
                kind=kind,
                candidate=candidate,
                bin_index=bin_index,
            )
        )
    share = n_firing / (n_documents * length)
    return Evidence(
        dictionary=dictionary,
        feature=feature,
        site="mlp_post.0",
        rule=FiringRule("above_zero"),
        n_tokens=n_documents * length,
        n_firing=n_firing,
        density=share if density is None else density,
        max_activation=float(np.exp(2.0)),
        histogram_edges=(1.0, 10.0),
        histogram_counts=(n_firing,),
        windows=tuple(windows),
        top_logits=(TokenEffect(1, " up", 1.0),),
        bottom_logits=(TokenEffect(2, " down", -1.0),),
        token_uses=(),
        neuron=None,
        unscored=None,
    )


def fires_somewhere(rule: Rule, piece: str) -> bool:
    """Whether the rule fires on the piece after some piece of the vocabulary."""
    return any(rule([before, piece], 1) for before in VOCABULARY)
