"""Progress where no terminal is: plain lines, and nothing in them is taken for markup."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from autointerp.cli.display import TerminalProgress


def shown(is_terminal: bool) -> tuple[TerminalProgress, io.StringIO]:
    text = io.StringIO()
    return TerminalProgress(Console(file=text, force_terminal=is_terminal, width=100, highlight=False)), text


def test_a_bar_ends_with_one_line_of_what_was_done() -> None:
    progress, text = shown(is_terminal=False)
    with progress.bar("score", total=40, unit="features") as bar:
        for done in range(41):
            bar.update(done, note=f"{done} sent [red]$0.00[/red]")
    lines = text.getvalue().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("score: 40/40 features in ")
    assert lines[0].endswith("40 sent [red]$0.00[/red]")


def test_a_total_may_become_known_late() -> None:
    progress, text = shown(is_terminal=False)
    with progress.bar("train", unit="tok") as bar:
        bar.update(1_500_000.0, total=3_000_000.0)
    assert "1.5M/3.0M tok" in text.getvalue()


def test_a_line_is_shown_as_it_is() -> None:
    progress, text = shown(is_terminal=False)
    progress.say("a [bold]path[/bold] " + "x" * 150)
    assert text.getvalue() == "a [bold]path[/bold] " + "x" * 150 + "\n"


def test_a_terminal_gets_a_bar_whose_note_is_no_markup() -> None:
    progress, text = shown(is_terminal=True)
    with progress.bar("score", total=2, unit="features") as bar:
        bar.update(1, note="token [/b] seen")
        bar.update(2)
    assert "score" in text.getvalue()
    assert "token [/b] seen" in text.getvalue()


def frames(width: int, note: str, *, eta_s: float | None = 754.0, label: str = "score") -> list[str]:
    """The lines a terminal of this width is shown."""
    text = io.StringIO()
    console = Console(file=text, force_terminal=True, width=width, color_system=None, highlight=False)
    with TerminalProgress(console).bar(label, unit="features") as bar:
        bar.update(1234, total=5600, note=note, eta_s=eta_s)
        bar._progress.refresh()  # type: ignore[attr-defined]
        shown = text.getvalue()
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.replace("\r", "\n"))
    return [line for line in plain.split("\n") if line.strip()]


@pytest.mark.parametrize(
    ("width", "parts"),
    [
        (60, ["score", "1234/5600", "13 min left", "41/s", "$12.34", "19% unparsed"]),
        (120, ["score", "1234/5600", "13 min left", "41/s", "$12.34", "19% unparsed", "12,345 sent"]),
    ],
)
def test_a_narrow_terminal_shows_what_matters_on_one_line(width: int, parts: list[str]) -> None:
    lines = frames(width, "41/s, $12.34, 19% unparsed, 12,345 sent, 345 asked again")
    assert max(map(len, lines)) <= width
    assert all(part in lines[-1] for part in parts), lines[-1]
    assert "…" not in lines[-1]


def test_the_time_left_is_the_workers_own_where_it_tells_one() -> None:
    assert "2.1 h left" in frames(120, "", eta_s=7560.0)[-1]
    assert "left" not in frames(120, "", eta_s=None)[-1]


@pytest.mark.parametrize("width", [40, 60, 80, 100, 200])
@pytest.mark.parametrize("label", ["train mlp_post.0", "harvest: statistics of a very long site name in a wide run"])
def test_bar_count_and_time_left_come_before_all_else(width: int, label: str) -> None:
    note = "sae fvu 0.34 l0 1024, topk fvu 0.89 l0 16, mlp fvu 0.83 l0 1058, random fvu 0.90 l0 4096"
    (*_, line) = frames(width, note, label=label, eta_s=272_000.0)
    assert len(line) <= width
    assert all(part in line for part in (label[:7], "1234/5600 75.6 h left"))
    assert " ━" in line or " ╸" in line
    if label.startswith("train"):
        assert ("sae fvu 0.34 l0 1024" in line) == (width >= 80)
        assert ("random" in line) == (width == 200)


def test_a_piece_of_work_that_ends_has_no_time_left() -> None:
    text = io.StringIO()
    console = Console(file=text, force_terminal=True, width=80, color_system=None, highlight=False)
    with TerminalProgress(console).bar("harvest: statistics", total=1000, unit="tok") as bar:
        bar.update(900, eta_s=5.0)
    last = text.getvalue().replace("\r", "\n").split("\n")[-2]
    assert "900/900" in last
    assert "left" not in last


def test_a_wait_shows_how_long_it_has_lasted(monkeypatch: pytest.MonkeyPatch) -> None:
    text = io.StringIO()
    console = Console(file=text, force_terminal=True, width=80, color_system=None, highlight=False)
    monkeypatch.setattr("rich.progress.Task.elapsed", 7.0)
    with TerminalProgress(console).bar("load subject") as bar:
        bar.update(0)
    assert "7 s" in text.getvalue()
    assert text.getvalue().endswith("\x1b[2K")  # nothing is left of it


class Passing:
    """An event that is set after so many waits, each of which takes its time on a clock of ours."""

    def __init__(self, n_waits: int) -> None:
        self.now, self._left = 0.0, n_waits

    def wait(self, wait_s: float) -> bool:
        self.now, self._left = self.now + wait_s, self._left - 1
        return self._left < 0

    def set(self) -> None:
        self._left = 0


def test_a_log_gets_a_line_after_ten_seconds_and_one_a_minute_even_when_nothing_moves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    passing = Passing(3)
    monkeypatch.setattr("autointerp.cli.display.time.monotonic", lambda: passing.now)
    monkeypatch.setattr("autointerp.cli.display.threading.Thread.start", lambda _: None)
    progress, text = shown(is_terminal=False)
    with progress.bar("score", total=1000, unit="features") as bar:
        bar._is_over = passing  # type: ignore[attr-defined]
        bar._tell_now_and_then()  # type: ignore[attr-defined]
        bar.update(500, note="2.0/s, $0.10", eta_s=3000.0)
    assert text.getvalue().splitlines() == [
        "score: 0/1000 features in 10 s",
        "score: 0/1000 features in 70 s",
        "score: 0/1000 features in 2 min",
        "score: 500/1000 features in 3 min, 50 min left, 2.0/s, $0.10",
    ]


@pytest.mark.parametrize(("took_s", "lines"), [(1.0, []), (3.0, ["load subject: 3 s"])])
def test_a_short_wait_leaves_no_line_in_a_log(took_s: float, lines: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("autointerp.cli.display.time.monotonic", lambda: now[0])
    progress, text = shown(is_terminal=False)
    with progress.bar("load subject"):
        now[0] = took_s
    assert text.getvalue().splitlines() == lines
