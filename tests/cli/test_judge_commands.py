"""`judges list` names what there is without importing it; `judges check` puts the contract to a judge."""

from __future__ import annotations

import json

import pytest

from autointerp.cli import judge_commands
from autointerp.cli.main import _run
from autointerp.judges.protocol import Reply, Request
from autointerp.judges.scripted import coin

BUILTIN = {"pattern", "openai", "oracle", "liar", "coin", "mumbler", "noisy", "literal"}


def test_the_list_names_every_builtin_judge(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(["judges", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert {line.split()[0] for line in lines} >= BUILTIN
    assert _run(["judges", "list", "--json"]) == 0
    assert {listing["name"] for listing in json.loads(capsys.readouterr().out)} >= BUILTIN


def test_a_judge_that_keeps_the_contract_passes(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(["judges", "check", "coin", "--option", "seed=3", "--option", "heads=0.25"]) == 0
    out = capsys.readouterr().out
    assert "FAIL" not in out
    assert out.count("ok  ") >= 5


def test_a_judge_that_breaks_the_contract_fails_with_three(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = coin()

    async def ask(request: Request) -> Reply:
        raise OSError("a failure that is none of this package's errors")

    broken.ask = ask
    monkeypatch.setattr(judge_commands, "open_judge", lambda name, options: broken)
    assert _run(["judges", "check", "coin", "--json"]) == 3
    assert any(result["is_passed"] is False for result in json.loads(capsys.readouterr().out))


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["coni"], ["'coni'", "did you mean 'coin'?"]),
        (["coin", "--option", "heads"], ["--option 'heads'", "KEY=VALUE"]),
        (["coin", "--option", "heads=2.0"], ["heads", "2.0"]),
        (["coin", "--option", "hedas=0.5"], ["hedas"]),
        (["openai"], ["openai:MODEL"]),
    ],
)
def test_a_wrong_judge_or_option_is_one_line(
    words: list[str], parts: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run(["judges", "check", *words]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    for part in parts:
        assert part in err
