"""What a run's files or a plug-in say steers no terminal and repeats no key, whichever command shows it."""

from __future__ import annotations

import ast
import csv
import io
from pathlib import Path

import pytest

from autointerp import safe_text
from autointerp.board.summary import write_summary
from autointerp.cli import board_commands, main
from autointerp.cli.display import TerminalProgress, echo
from autointerp.runs.layout import RunLayout
from autointerp.runs.log import LoggedProgress
from tests.board.test_leaderboard import entry

CLI = Path(main.__file__).parent
HOSTILE = "sae\x1b[2J\x1b]0;owned\x07\u202e\x9b"
KEY = "0123456789abcdef"


@pytest.fixture(autouse=True)
def key_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(safe_text, "_keys_in_use", {KEY})


def test_only_the_display_prints() -> None:
    for path in CLI.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and path.name != "display.py":
                called = ast.unparse(node.func)
                assert called not in {"print", "typer.echo", "typer.secho", "sys.stdout.write"}, path
                assert not called.endswith("stderr.print"), path


@pytest.fixture
def run(tmp_path: Path) -> RunLayout:
    layout = RunLayout(tmp_path)
    summary = {"schema_version": 1, "run": f"run {KEY}", "entries": [entry(HOSTILE, 0.75), entry("=cmd()", 0.5)]}
    write_summary(layout.summary, summary)
    return layout


@pytest.mark.parametrize("format", ["table", "md", "csv", "json", "html"])
@pytest.mark.parametrize("is_terminal", [False, True])
def test_a_leaderboard_steers_no_terminal(
    run: RunLayout,
    format: str,
    is_terminal: bool,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(board_commands, "_is_terminal", lambda: is_terminal)
    assert main._run(["leaderboard", str(run.root), "--format", format]) == 0
    text = capsys.readouterr().out
    assert not [steering for steering in ("\x1b[2J", "\x1b]", "\x07", "\u202e", "\x9b") if steering in text]
    assert KEY not in text


def test_a_spreadsheet_runs_no_cell(run: RunLayout, capsys: pytest.CaptureFixture[str]) -> None:
    assert main._run(["leaderboard", str(run.root), "--format", "csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert {row["name"] for row in rows} == {"sae\\u001b[2J\\u001b]0;owned\\u0007\\u202e\\u009b", "'=cmd()"}
    assert all(row["beyond_token"] == "-0.035" for row in rows)


def test_the_log_gets_one_safe_line_for_each_thing_said(tmp_path: Path) -> None:
    progress = LoggedProgress(TerminalProgress(), RunLayout(tmp_path))
    progress.say(f"the server said {KEY}\x1b[2J\n2026-01-01 a line of its own")
    first, second = (tmp_path / "log.txt").read_text().splitlines()
    assert first.endswith("the server said ***\\u001b[2J")
    assert second == "    2026-01-01 a line of its own"


def test_a_bug_shows_its_traceback_safely(capsys: pytest.CaptureFixture[str]) -> None:
    error = KeyError(f"\x1b[2J {KEY}")
    main.show_bug(KeyError, error, None)
    text = capsys.readouterr().err
    assert "KeyError" in text
    assert KEY not in text
    assert "\x1b" not in text


def test_a_wrong_option_is_shown_safely(capsys: pytest.CaptureFixture[str]) -> None:
    assert main._run(["leaderboard", f"--no-such-{KEY}\x1b[2J", "x"]) == 2
    text = capsys.readouterr().err
    assert "no-such-***" in text
    assert "\x1b" not in text


def test_a_character_that_the_terminal_lacks_is_spelled(monkeypatch: pytest.MonkeyPatch) -> None:
    narrow = io.TextIOWrapper(io.BytesIO(), encoding="latin-1")
    monkeypatch.setattr("sys.stdout", narrow)
    main.prepare_streams()
    echo("é – ✓")
    narrow.flush()
    assert narrow.buffer.getvalue() == b"\xe9 \\u2013 \\u2713\n"
