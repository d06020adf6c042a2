"""An interpolated modified Kneser-Ney trigram over token ids: the rival that the builtin subject must beat.

Chen and Goodman 1998, "An Empirical Study of Smoothing Techniques for Language Modeling", section 3.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["KneserNeyTrigram"]


@dataclass(frozen=True, slots=True)
class _Order:
    """One order's table, n-grams as sorted integer keys."""

    keys: np.ndarray
    # (count - discount) / context total
    share: np.ndarray
    contexts: np.ndarray
    # the mass that discounts freed in each context
    left_over: np.ndarray

    def shares_of(self, keys: np.ndarray) -> np.ndarray:
        """The discounted share of each n-gram, 0 where it was never seen."""
        return _look_up(self.keys, self.share, keys, default=0.0)

    def left_over_of(self, contexts: np.ndarray) -> np.ndarray:
        """The mass handed to the lower order, 1 where the context was never seen."""
        return _look_up(self.contexts, self.left_over, contexts, default=1.0)


@dataclass(frozen=True, slots=True)
class KneserNeyTrigram:
    """A fitted trigram; every context's probabilities sum to 1 over the vocabulary."""

    vocab_size: int
    trigrams: _Order
    bigrams: _Order
    unigrams: _Order

    @classmethod
    def fit(cls, contexts: np.ndarray, *, vocab_size: int) -> KneserNeyTrigram:
        """`contexts`: [n_contexts, pos] token ids; column 0 (BOS) is given, never predicted.

        The first target's history is (BOS, BOS). Raises ValueError on an empty or too large input.
        """
        if contexts.size == 0 or contexts.shape[1] < 2 or vocab_size**3 >= 2**63:
            raise ValueError(f"contexts of shape {contexts.shape} with vocab_size {vocab_size} cannot be counted")
        first, second, third = _histories(contexts)
        keys, counts = np.unique((first * vocab_size + second) * vocab_size + third, return_counts=True)
        bigram_keys, n_left_of_bigram = np.unique(keys % vocab_size**2, return_counts=True)
        unigram_keys, n_left_of_unigram = np.unique(bigram_keys % vocab_size, return_counts=True)
        return cls(
            vocab_size=vocab_size,
            trigrams=_discounted(keys, counts, keys // vocab_size),
            bigrams=_discounted(bigram_keys, n_left_of_bigram, bigram_keys // vocab_size),
            unigrams=_discounted(unigram_keys, n_left_of_unigram, np.zeros_like(unigram_keys)),
        )

    def probabilities(self, first: np.ndarray, second: np.ndarray, third: np.ndarray) -> np.ndarray:
        """P(third | first, second), elementwise."""
        size = self.vocab_size
        low = self.unigrams.shares_of(third) + self.unigrams.left_over_of(np.zeros_like(third)) / size
        middle = self.bigrams.shares_of(second * size + third) + self.bigrams.left_over_of(second) * low
        history = first * size + second
        return self.trigrams.shares_of(history * size + third) + self.trigrams.left_over_of(history) * middle

    def loss(self, contexts: np.ndarray, *, ignored: int | None = None) -> float:
        """Mean nats over the targets `contexts[:, 1:]` but those equal to `ignored`."""
        first, second, third = _histories(contexts)
        if ignored is not None:
            kept = third != ignored
            first, second, third = first[kept], second[kept], third[kept]
        return float(-np.log(self.probabilities(first, second, third)).mean())


def _histories(contexts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    padded = np.concatenate([contexts[:, :1], contexts], axis=1).astype(np.int64)
    return padded[:, :-2].ravel(), padded[:, 1:-1].ravel(), padded[:, 2:].ravel()


def _discounted(keys: np.ndarray, counts: np.ndarray, context_of: np.ndarray) -> _Order:
    """`keys` are sorted by context."""
    discount = _discounts(counts)[np.minimum(counts, 3)]
    contexts, starts = np.unique(context_of, return_index=True)
    totals = np.add.reduceat(counts, starts).astype(np.float64)
    freed = np.add.reduceat(discount, starts)
    lengths = np.diff(np.append(starts, counts.size))
    share = (counts - discount) / np.repeat(totals, lengths)
    return _Order(keys, share, contexts, freed / totals)


def _discounts(counts: np.ndarray) -> np.ndarray:
    """[0, D1, D2, D3+] of Chen and Goodman, equation 17, within (0, count] where the data are too few for it."""
    n1, n2, n3, n4 = (float(np.count_nonzero(counts == i)) for i in (1, 2, 3, 4))
    if min(n1, n2, n3) == 0.0:
        return np.array([0.0, 0.5, 0.5, 0.5])
    y = n1 / (n1 + 2.0 * n2)
    raw = np.array([0.0, 1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3])
    return np.clip(raw, [0.0, 0.01, 0.01, 0.01], [0.0, 1.0, 2.0, 3.0])


def _look_up(keys: np.ndarray, values: np.ndarray, wanted: np.ndarray, *, default: float) -> np.ndarray:
    places = np.minimum(np.searchsorted(keys, wanted), keys.size - 1)
    return np.where(keys[places] == wanted, values[places], default)
