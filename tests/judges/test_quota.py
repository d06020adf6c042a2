"""The quota: never more than is left until the window ends, by the monotonic clock alone."""

from __future__ import annotations

import pytest

from autointerp.judges.engine.quota import Quota
from autointerp.judges.judge import RateLimits


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def sendable(quota: Quota, most: int = 100) -> int:
    """How many may be sent now, one after the other."""
    for n in range(most):
        if quota.hold_s() > 0:
            return n
        quota.n_sent += 1
    return most


def test_without_limits_there_is_no_bound() -> None:
    quota = Quota()
    assert sendable(quota) == 100
    quota.note(100, None, n_tokens=10)
    quota.note(100, RateLimits(), n_tokens=10)
    quota.note(100, RateLimits(requests_left=0), n_tokens=10)  # until when, nobody knows
    assert sendable(quota) == 100


def test_what_is_left_less_what_was_sent_since_may_be_sent_until_the_reset() -> None:
    clock = Clock()
    quota = Quota(clock=clock)
    quota.n_sent = 12
    quota.note(10, RateLimits(requests_left=7, requests_reset_s=3.0), n_tokens=0)
    assert sendable(quota) == 5
    assert quota.hold_s() == pytest.approx(3.0)
    clock.now += 2.0
    assert quota.hold_s() == pytest.approx(1.0)
    clock.now += 1.0
    assert sendable(quota) == 100


def test_an_older_reply_does_not_take_back_what_a_newer_one_said() -> None:
    clock = Clock()
    quota = Quota(clock=clock)
    quota.n_sent = 20
    quota.note(20, RateLimits(requests_left=2, requests_reset_s=10.0), n_tokens=0)
    quota.note(11, RateLimits(requests_left=11, requests_reset_s=10.0), n_tokens=0)
    assert sendable(quota) == 2
    quota.note(21, RateLimits(requests_left=4, requests_reset_s=10.0), n_tokens=0)
    assert sendable(quota) == 3  # one was sent after it


def test_tokens_are_counted_by_the_mean_request() -> None:
    clock = Clock()
    quota = Quota(clock=clock)
    quota.n_sent = 2
    quota.note(1, None, n_tokens=100)
    quota.note(2, RateLimits(tokens_left=1000, tokens_reset_s=5.0, requests_left=9, requests_reset_s=5.0), n_tokens=300)
    assert sendable(quota) == 5  # 200 each


def test_a_window_without_end_is_not_believed_for_ever() -> None:
    clock = Clock()
    quota = Quota(clock=clock)
    quota.note(0, RateLimits(requests_left=0, requests_reset_s=86_400.0), n_tokens=0)
    assert quota.hold_s() == pytest.approx(60.0)
    clock.now += 61.0
    assert quota.hold_s() == 0.0
