"""The line beside the bar: this session's pace and time left, money, unreadable answers and one warning about them."""

from __future__ import annotations

from typing import Any, cast

from autointerp.judges.engine.budget import Budget
from autointerp.judges.engine.client import Client, Counters
from autointerp.judges.engine.limits import Waiting
from autointerp.progress import SilentProgress
from autointerp.stages.asking_display import AskingDisplay
from autointerp.workers import Tally


class Shown(SilentProgress):
    """A bar and a progress that keep what they are told."""

    def __init__(self) -> None:
        self.updates: list[dict[str, Any]] = []
        self.said: list[str] = []

    def update(self, done: float, **more: Any) -> None:
        self.updates.append({"done": done} | more)

    def say(self, text: str) -> None:
        self.said.append(text)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class FakeClient:
    def __init__(self) -> None:
        self.counters = Counters()
        self.waiting: Waiting | None = None
        self.doing = ""


def display() -> tuple[AskingDisplay, Shown, FakeClient, Clock]:
    shown, client, clock = Shown(), FakeClient(), Clock()
    made = AskingDisplay(
        shown,
        cast(Client, client),
        Budget(spent_usd=1.5),
        progress=shown,
        label="score",
        judge="openai:m",
        clock=clock,
    )
    return made, shown, client, clock


def test_the_time_left_follows_from_this_sessions_pace_and_not_from_the_journals() -> None:
    """60 of 100 features are answered from the journal in a second; the 40 left take 5 requests each at 2 a second."""
    made, shown, client, clock = display()
    state = Tally(n_features=100, n_done=60, n_requests=300)
    client.counters.n_from_journal = 300
    clock.now += 1.0
    made.show(state)
    assert shown.updates[-1]["eta_s"] is None
    for _ in range(4):
        clock.now += 2.5
        state.n_done += 1
        state.n_requests += 5
        client.counters.n_sent += 5
        made.show(state)
    assert shown.updates[-1]["eta_s"] == (100 - 64) * 5 / 2.0
    assert shown.updates[-1]["note"].startswith("2.0/s, $1.50, 20 sent")
    assert (shown.updates[-1]["done"], shown.updates[-1]["total"]) == (64, 100)


def test_an_old_burst_is_forgotten() -> None:
    made, shown, _, clock = display()
    state = Tally(n_features=10_000)
    for n_new, n_steps in ((100, 10), (1, 100)):
        for _ in range(n_steps):
            clock.now += 1.0
            state.n_done += n_new
            state.n_requests += n_new
            made.show(state)
    assert shown.updates[-1]["note"].startswith("1.0/s")


def test_money_without_a_price_is_not_shown_as_none() -> None:
    made, shown, _, _ = display()
    made.show(Tally(n_features=10, n_done=1, n_requests=2, n_unpriced=2))
    assert "$1.50 + 2 unpriced" in shown.updates[-1]["note"]
    assert made.money == "$1.50 + 2 unpriced"


def test_many_unreadable_answers_are_warned_of_once_and_with_the_fix() -> None:
    made, shown, _, _ = display()
    for n_verdicts, n_unparsed in ((49, 49), (50, 10), (60, 13), (70, 50)):
        made.show(Tally(n_features=10, n_done=1, n_requests=2, n_verdicts=n_verdicts, n_unparsed=n_unparsed))
        assert f"{n_unparsed / n_verdicts:.0%} unparsed" in shown.updates[-1]["note"]
        assert len(shown.said) == (n_verdicts >= 60)
    assert shown.said[0].startswith(
        "score: 22% of the answers of openai:m cannot be read: set judges.openai.reply_format"
    )
    assert "\n" not in shown.said[0]


def test_a_pause_is_told_with_its_reason_once() -> None:
    made, shown, client, clock = display()
    client.waiting = Waiting("HTTP 429: slow down", 20.0)
    for _ in range(20):
        made.beat()
        clock.now += 1.0
        client.waiting = Waiting("HTTP 429: slow down", client.waiting.pause_s - 1.0)
    assert shown.said == ["score: waits 20 s: HTTP 429: slow down"]
    assert shown.updates[3]["note"].startswith("waits 17 s, $1.50")
    client.waiting = None
    made.beat()
    assert shown.updates[-1]["note"].startswith("$1.50")


def test_a_short_pause_is_no_line_but_trouble_that_lasts_is() -> None:
    made, shown, client, clock = display()
    client.waiting = Waiting("HTTP 500: broken", 0.5)
    made.beat()
    assert shown.said == []
    assert shown.updates[-1]["note"].startswith("tries again, ")
    clock.now += 3.0
    made.beat()
    assert shown.said == ["score: tries again: HTTP 500: broken"]


def test_questions_that_nobody_answers_are_counted() -> None:
    made, shown, client, clock = display()
    client.counters.n_sent = client.counters.n_in_flight = 64
    made.beat()
    clock.now += 40.0
    made.beat()
    assert shown.updates[-1]["note"].startswith("64 under way for 40 s, ")
    client.counters.n_in_flight = 63
    made.beat()
    assert "under way" not in shown.updates[-1]["note"]


def test_what_a_judge_is_at_is_told_before_anything_is_answered() -> None:
    made, shown, client, _ = display()
    client.counters.n_sent = client.counters.n_in_flight = 8
    client.doing = "reads the weights"
    made.beat()
    assert shown.updates[-1]["note"].startswith("reads the weights, ")
