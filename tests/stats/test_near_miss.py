from __future__ import annotations

import pytest

from autointerp.records.verdict import Answer, Verdict
from autointerp.records.window import Window
from autointerp.stats.lookup import TokenRule
from autointerp.stats.near_miss import near_miss_accuracy, near_miss_alone, near_miss_of_list
from tests.board.synthetic import make_window

A, B, C = 1, 2, 3


def judged(token: int, answer: Answer, *, fires: bool, other_firing: int | None = None) -> tuple[Verdict, Window]:
    judged.n = getattr(judged, "n", 0) + 1
    tokens = [0, token, 5 if other_firing is None else other_firing]
    firing = {1: 1.0} if fires else {}
    if other_firing is not None:
        firing[2] = 0.5
    kind = "top" if fires else "near_miss"
    window = make_window(tokens, id=str(judged.n), role="score", kind=kind, firing=firing, candidate=1)
    return Verdict("sae", 0, "windows", "marked", "j", "p", None, window.id, kind, fires, answer), window


def test_worked_out_by_hand():
    pairs = [
        judged(A, "fires", fires=True),
        judged(A, "fires", fires=True),
        judged(A, "silent", fires=True),
        judged(A, "silent", fires=False),
        judged(A, "fires", fires=False),
        judged(A, "unparsed", fires=False),
        judged(B, "fires", fires=True),
        judged(B, "silent", fires=False),
        # Not shared: C never stands in a near miss.
        judged(C, "silent", fires=True),
    ]
    found = near_miss_accuracy(pairs, task="marked")
    assert found is not None
    # A: (2/3 + 1/3) / 2 = 0.5 with weight 9/6; B: 1.0 with weight 1/2.
    assert found.balanced_accuracy == pytest.approx((1.5 * 0.5 + 0.5 * 1.0) / 2)
    assert (found.n_tokens, found.n_positive, found.n_negative) == (2, 4, 4)


def test_whoever_reads_the_token_alone_is_at_chance():
    # Counts per token differ widely between the sides: pooled, the list {A} would reach 0.9.
    pairs = [judged(A, "fires", fires=True) for _ in range(9)] + [judged(A, "fires", fires=False)]
    pairs += [judged(B, "silent", fires=True)] + [judged(B, "silent", fires=False) for _ in range(9)]
    found = near_miss_accuracy(pairs, task="marked")
    assert found is not None
    assert found.balanced_accuracy == pytest.approx(0.5)


def test_detection_counts_every_token_that_fires_and_marked_the_candidate():
    pairs = [judged(A, "fires", fires=True, other_firing=B), judged(B, "silent", fires=False)]
    found = near_miss_accuracy(pairs, task="detection")
    assert found is not None
    assert found.balanced_accuracy == 1.0
    assert near_miss_accuracy(pairs, task="marked") is None


def test_cannot_be_measured_without_both_sides():
    assert near_miss_accuracy([judged(A, "fires", fires=True)], task="marked") is None
    assert near_miss_accuracy([judged(A, "silent", fires=False)], task="marked") is None
    assert near_miss_accuracy([], task="detection") is None


def test_in_detection_a_list_that_is_blind_to_context_lies_above_one_half():
    # Firing windows hold A and B, near misses of A hold A alone: a list of B alone tells them apart.
    pairs = [judged(A, "fires", fires=True, other_firing=B) for _ in range(4)]
    pairs += [judged(A, "fires", fires=False) for _ in range(4)]
    rule = TokenRule("detection", frozenset({B}))
    listed, own = near_miss_of_list(pairs, rule=rule), near_miss_accuracy(pairs, task="detection")
    assert listed is not None
    assert own is not None
    assert (listed.balanced_accuracy, own.balanced_accuracy) == (1.0, 0.5)
    assert near_miss_alone(pairs, rule=rule) is None, "no firing window in which A stands alone"


def test_where_the_shared_token_stands_alone_every_list_reaches_exactly_one_half():
    pairs = [judged(A, "fires", fires=True) for _ in range(5)] + [judged(A, "silent", fires=False) for _ in range(3)]
    pairs += [judged(A, "fires", fires=True, other_firing=B)]
    for tokens in ({A, B}, {B}, {A}, set[int]()):
        rule = TokenRule("detection", frozenset(tokens))
        alone = near_miss_alone(pairs, rule=rule)
        assert alone is not None
        assert (alone.balanced_accuracy, alone.n_positive) == (1.0, 5)
        listed = near_miss_of_list([pair for pair in pairs if pair[1].token_ids[2] != B], rule=rule)
        assert listed is not None
        assert listed.balanced_accuracy == 0.5
