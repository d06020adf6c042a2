"""Progress where no terminal is: plain lines, and nothing in them is taken for markup."""

from __future__ import annotations

import io

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
