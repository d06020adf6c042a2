"""Counts of (feature, token) pairs: exact, mergeable, and bounded."""

from __future__ import annotations

from collections import Counter

import numpy as np

from autointerp.harvest.token_counts import TokenCounts


def test_counts_are_exact_over_parts_that_merge() -> None:
    draw = np.random.default_rng(0)
    feature, token = draw.integers(0, 20, 5000), draw.integers(0, 50, 5000)
    parts = [TokenCounts(np.arange(20), vocab_size=50) for _ in range(3)]
    for number, rows in enumerate(np.array_split(np.arange(5000), 9)):
        parts[number % 3].add(feature[rows], token[rows])
        parts[number % 3].add_totals(token[rows])
    parts[0].merge(parts[1])
    parts[0].merge(parts[2])
    totals = np.bincount(token, minlength=50)
    for f in range(20):
        counts = Counter(token[feature == f].tolist())
        found = parts[0].top(f, 100)
        assert {t: n for t, n, _ in found} == dict(counts)
        assert all(total == totals[t] for t, _, total in found)
        assert [n for _, n, _ in found] == sorted(counts.values(), reverse=True)


def test_at_the_ceiling_the_features_last_in_order_are_given_up() -> None:
    rank = np.array([3, 0, 2, 1])
    counts = TokenCounts(rank, vocab_size=100, max_pairs=200)
    for f in range(4):
        counts.add(np.full(100, f), np.arange(100))
    assert counts.top(0, 100) == []
    assert len(counts.top(1, 100)) == 100
    assert counts.rank_limit == 1
    counts.add(np.full(10, 0), np.arange(10))
    assert counts.top(0, 100) == []
