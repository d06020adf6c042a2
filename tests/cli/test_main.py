"""Exit codes: 0 done, 1 a bug with its traceback, 2 the user's error on one line, 3 stopped early, 130 interrupted."""

from __future__ import annotations

import subprocess
import sys

import pytest

from autointerp.cli import board_commands, main
from autointerp.errors import ConfigError, JudgeStopped, LimitReached
from sae_core.errors import DictionaryFormatError


def failing(error: BaseException):
    def fail(_: object) -> None:
        raise error

    return fail


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("seed = -1 is negative; use 0"), 2),
        (DictionaryFormatError("x: not whole; save again"), 2),
        (LimitReached("limits.max_usd = 1 is reached"), 3),
        (JudgeStopped("no credits left"), 3),
    ],
)
def test_an_error_of_ours_is_one_line_and_its_code(
    error: Exception, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(board_commands, "gather_runs", failing(error))
    assert main._run(["leaderboard", "x"]) == code
    out, err = capsys.readouterr()
    assert (out, err) == ("", f"error: {error}\n")


def test_square_brackets_in_a_message_are_no_markup(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    error = ConfigError("[red]list[int][/red] :smile: " + "x" * 200)
    monkeypatch.setattr(board_commands, "gather_runs", failing(error))
    assert main._run(["leaderboard", "x"]) == 2
    assert capsys.readouterr().err == f"error: [red]list[int][/red] :smile: {'x' * 200}\n"


def test_a_bug_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(board_commands, "gather_runs", failing(KeyError("a bug")))
    with pytest.raises(KeyError, match="a bug"):
        main._run(["leaderboard", "x"])


def test_a_bug_exits_with_one() -> None:
    program = (
        "from autointerp.cli import board_commands, main\n"
        "def fail(path): raise KeyError('a bug')\n"
        "board_commands.gather_runs = fail\n"
        "main.main(['leaderboard', 'x'])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "a bug" in done.stderr


def test_an_interrupted_command_says_that_it_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(board_commands, "gather_runs", failing(KeyboardInterrupt()))
    assert main._run(["leaderboard", "x"]) == 130
    assert "goes on from here" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["leaderboard"], ["lederboard", "x"], ["run", "demo", "--no-such-option"], ["run"]])
def test_a_wrong_command_line_is_the_users_error(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main._run(words) == 2
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("command", ["demo", "run", "train", "harvest", "explain", "score", "rescore", "leaderboard"])
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main._run(["--help"]) == 0
    assert command in capsys.readouterr().out
    assert main._run([command, "--help"]) == 0
    assert "Usage" in capsys.readouterr().out


def test_ctrl_c_while_packages_are_loaded_ends_in_one_line() -> None:
    program = (
        "import os, signal, sys\n"
        "class Interrupting:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'autointerp.cli.display': os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Interrupting())\n"
        "from autointerp.__main__ import main\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted before anything began\n")


@pytest.mark.parametrize("words", [["-h"], ["run", "-h"], ["judges", "check", "-h"]])
def test_h_is_help(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main._run(words) == 0
    assert "Usage" in capsys.readouterr().out


def test_the_version_is_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(main, "installed_version", lambda: "1.2.3")
    assert main._run(["--version"]) == 0
    assert capsys.readouterr().out == "autointerp 1.2.3\n"


@pytest.mark.parametrize("words", [["leaderboard"], ["journal"], ["report"], ["run", "demo", "--out"], ["plan"]])
def test_a_path_that_cannot_be_is_one_line(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main._run([*words, "long/" + "x" * 5000]) == 2
    text = capsys.readouterr().err
    assert text.count("\n") == 1
    assert len(text) < 600
