"""The Kneser-Ney trigram against a slow one written from the formulas, and its probabilities' sums."""

from __future__ import annotations

import math
from collections import Counter, defaultdict

import numpy as np
import pytest

from subjects.training.trigram import KneserNeyTrigram

VOCAB_SIZE = 12


def contexts(seed: int, n: int = 30) -> np.ndarray:
    generator = np.random.default_rng(seed)
    body = generator.geometric(0.3, size=(n, 9)).clip(1, VOCAB_SIZE - 2)
    return np.concatenate([np.zeros((n, 1), dtype=np.int64), body], axis=1)


class SlowTrigram:
    """Interpolated modified Kneser-Ney by dictionaries, one probability at a time."""

    def __init__(self, rows: np.ndarray) -> None:
        trigrams: Counter[tuple[int, ...]] = Counter()
        for row in rows.tolist():
            padded = [row[0], *row]
            trigrams.update(tuple(padded[i : i + 3]) for i in range(len(padded) - 2))
        bigrams = Counter(gram[1:] for gram in trigrams)
        unigrams = Counter(gram[1:] for gram in bigrams)
        self.tables = {3: trigrams, 2: bigrams, 1: unigrams}
        self.discounts = {order: self.discount(table) for order, table in self.tables.items()}
        self.followers: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for table in self.tables.values():
            for gram, count in table.items():
                self.followers[(*gram[:-1], -len(gram))].append(count)

    @staticmethod
    def discount(table: Counter[tuple[int, ...]]) -> list[float]:
        n = [0, *(sum(count == i for count in table.values()) for i in (1, 2, 3, 4))]
        if 0 in n[1:4]:
            return [0.0, 0.5, 0.5, 0.5]
        y = n[1] / (n[1] + 2 * n[2])
        values = [min(max(i - (i + 1) * y * n[i + 1] / n[i], 0.01), float(i)) for i in (1, 2, 3)]
        return [0.0, *values]

    def probability(self, gram: tuple[int, ...]) -> float:
        if not gram:
            return 1 / VOCAB_SIZE
        order = len(gram)
        counts, discounts = self.followers.get((*gram[:-1], -order), []), self.discounts[order]
        lower = self.probability(gram[1:])
        if not counts:
            return lower
        count = self.tables[order].get(gram, 0)
        left_over = sum(discounts[min(c, 3)] for c in counts)
        return (count - discounts[min(count, 3)] + left_over * lower) / sum(counts)


def test_probabilities_are_those_of_the_formulas() -> None:
    rows = contexts(0)
    fast, slow = KneserNeyTrigram.fit(rows, vocab_size=VOCAB_SIZE), SlowTrigram(rows)
    grams = [(a, b, c) for a in range(VOCAB_SIZE) for b in range(VOCAB_SIZE) for c in range(VOCAB_SIZE)]
    first, second, third = (np.array(column) for column in zip(*grams, strict=True))
    expected = [slow.probability(gram) for gram in grams]
    np.testing.assert_allclose(fast.probabilities(first, second, third), expected, rtol=1e-12)


@pytest.mark.parametrize("n", [1, 30, 300])
def test_every_history_sums_to_one(n: int) -> None:
    trigram = KneserNeyTrigram.fit(contexts(1, n), vocab_size=VOCAB_SIZE)
    third = np.arange(VOCAB_SIZE)
    for a, b in [(0, 0), (0, 1), (1, 2), (11, 11), (3, 11)]:
        total = trigram.probabilities(np.full_like(third, a), np.full_like(third, b), third).sum()
        assert total == pytest.approx(1.0, abs=1e-12)


def test_loss_is_the_mean_over_the_targets_that_count() -> None:
    rows = contexts(2)
    trigram = KneserNeyTrigram.fit(rows, vocab_size=VOCAB_SIZE)
    test = np.array([[0, 1, 2, 0, 3]])
    chain = [(0, 0, 1), (0, 1, 2), (1, 2, 0), (2, 0, 3)]
    losses = [-math.log(trigram.probabilities(*(np.array([t]) for t in gram))[0]) for gram in chain]
    assert trigram.loss(test) == pytest.approx(np.mean(losses))
    assert trigram.loss(test, ignored=0) == pytest.approx(np.mean([losses[0], losses[1], losses[3]]))


def test_it_learns_what_follows_what() -> None:
    rows = np.array([[0, *([1, 2, 3] * 5)]] * 20)
    trigram = KneserNeyTrigram.fit(rows, vocab_size=VOCAB_SIZE)
    assert trigram.loss(rows) < 0.1
    assert trigram.loss(rows[:, ::-1].copy()) > 2.0


def test_nothing_to_count_is_the_callers_bug() -> None:
    with pytest.raises(ValueError, match="cannot be counted"):
        KneserNeyTrigram.fit(np.zeros((0, 5), dtype=np.int64), vocab_size=4)
