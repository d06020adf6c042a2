"""Rate limits in headers, in every spelling that servers use."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autointerp.errors import JudgeRetry
from autointerp.judges.endpoint.rate_limits import parse_reset_s, read_rate_limits, retry_after_s
from autointerp.judges.judge import RateLimits

NOW = 1_790_000_000.0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("6m0s", 360.0),
        ("12ms", 0.012),
        ("1h2m3.5s", 3723.5),
        ("1d", 86400.0),
        ("7.66s", 7.66),
        ("59", 59.0),
        ("0", 0.0),
        ("0.25", 0.25),
        (str(NOW + 30), 30.0),
        (str(int((NOW + 30) * 1000)), 30.0),
        (str(NOW - 30), 0.0),
        (datetime.fromtimestamp(NOW + 90, UTC).isoformat().replace("+00:00", "Z"), 90.0),
        ("", None),
        ("soon", None),
        ("-1", None),
        ("nan", None),
        ("6m soon", None),
        ("inf", None),
        ("1e14", None),
        ("90d", None),
        ("2099-01-01T00:00:00Z", None),
        ("9999999999", None),
        ("9" * 400, None),
    ],
)
def test_a_reset_in_each_spelling(text: str, seconds: float | None) -> None:
    assert parse_reset_s(text, now=NOW) == (None if seconds is None else pytest.approx(seconds))


@given(st.text(max_size=30))
@settings(deadline=None)
def test_whatever_a_header_says_is_read_as_a_duration_or_not_at_all(text: str) -> None:
    seconds = parse_reset_s(text, now=NOW)
    assert seconds is None or seconds >= 0.0


@given(st.integers(0, 23), st.integers(0, 59), st.integers(0, 59), st.integers(0, 999))
@settings(deadline=None)
def test_durations_are_sums(hours: int, minutes: int, seconds: int, milliseconds: int) -> None:
    text = f"{hours}h{minutes}m{seconds}s{milliseconds}ms"
    expected = hours * 3600 + minutes * 60 + seconds + milliseconds / 1000
    assert parse_reset_s(text, now=NOW) == pytest.approx(expected)


def test_the_limits_of_openai_anthropic_and_plain_ones() -> None:
    openai = {
        "x-ratelimit-remaining-requests": "59",
        "x-ratelimit-reset-requests": "1s",
        "x-ratelimit-remaining-tokens": "149984",
        "x-ratelimit-reset-tokens": "6m0s",
    }
    assert read_rate_limits(openai, now=NOW) == RateLimits(59, 1.0, 149984, 360.0)
    anthropic = {
        "anthropic-ratelimit-requests-remaining": "7",
        "anthropic-ratelimit-requests-reset": datetime.fromtimestamp(NOW + 4, UTC).isoformat(),
    }
    assert read_rate_limits(anthropic, now=NOW) == RateLimits(7, pytest.approx(4.0), None, None)  # type: ignore[arg-type]
    plain = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int((NOW + 5) * 1000))}
    assert read_rate_limits(plain, now=NOW) == RateLimits(0, pytest.approx(5.0), None, None)  # type: ignore[arg-type]


def test_what_is_not_known_is_no_limit() -> None:
    assert read_rate_limits({}, now=NOW) is None
    unknown = {"x-ratelimit-remaining-tokens": "-1", "x-ratelimit-reset-tokens": "0"}
    assert read_rate_limits(unknown, now=NOW) is None
    assert read_rate_limits({"x-ratelimit-remaining-requests": "5"}, now=NOW) == RateLimits(5, None, None, None)


def test_a_pause_is_the_one_asked_for_or_the_refill_of_what_is_used_up() -> None:
    used_up = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "20s"}
    assert retry_after_s({"retry-after": "3", **used_up}, now=NOW) == 3.0
    assert retry_after_s(used_up, now=NOW) == 20.0
    assert retry_after_s({**used_up, "x-ratelimit-remaining-requests": "4"}, now=NOW) is None
    assert retry_after_s({"retry-after": "soon"}, now=NOW) is None


NO_PAUSE = [
    *("0", "0.0", "-1", "nan", "inf", "-inf", "1e300", "9" * 400, "", "soon", "604801"),
    *("Wed, 21 Oct 2015 07:28:00 GMT", "Wed, 21 Oct 2099 07:28:00 GMT", "Wed, 21 Oct 99999 07:28:00 GMT"),
]


@pytest.mark.parametrize("value", NO_PAUSE)
def test_a_pause_that_cannot_be_kept_is_as_good_as_none(value: str) -> None:
    """Whoever keeps to it hammers the server, or never asks it again."""
    for name in ("retry-after", "retry-after-ms"):
        # milliseconds that are out of bounds as seconds need not be as themselves
        assert retry_after_s({name: value}, now=NOW) == (604.801 if (name[-2:], value) == ("ms", "604801") else None)
    used_up = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": value}
    assert retry_after_s(used_up, now=NOW) is None


@given(st.text(max_size=20), st.sampled_from(["retry-after", "retry-after-ms", "x-ratelimit-reset-requests"]))
@settings(deadline=None)
def test_whatever_a_header_says_a_pause_is_above_nothing_and_within_a_week(text: str, name: str) -> None:
    headers = {name: text, "x-ratelimit-remaining-requests": "0", "date": text}
    pause_s = retry_after_s(headers, now=NOW)
    assert pause_s is None or 0.0 < pause_s <= 7 * 86_400.0
    read_rate_limits(headers, now=NOW)


def test_what_is_left_is_a_count_of_sensible_length() -> None:
    headers = {"x-ratelimit-remaining-requests": "9" * 400, "x-ratelimit-reset-requests": "1s"}
    assert read_rate_limits(headers, now=NOW) is None


def test_a_judge_that_asks_for_a_pause_of_nothing_or_without_end_asks_for_none() -> None:
    for pause_s in (0.0, -1.0, float("nan"), float("inf")):
        error = JudgeRetry("busy", retry_after_s=pause_s)
        assert error.retry_after_s is None
        assert error.is_unpaid
