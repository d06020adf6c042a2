"""`judges list` says what there is without importing strangers; `judges check` puts the contract to a judge."""

from __future__ import annotations

import json

import pytest

from autointerp.builtin_plugins import BUILTIN
from autointerp.cli import judge_commands
from autointerp.cli.judge_tables import render_findings, render_judges
from autointerp.cli.main import _run
from autointerp.errors import PluginError
from autointerp.judges.judge import Reply, Request
from autointerp.judges.kit.contract import FIRST_QUESTION
from autointerp.judges.kit.findings import CheckResult
from autointerp.judges.offline.scripted import coin
from autointerp.plugins import PluginListing

BUILTIN_NAMES = set(BUILTIN["autointerp.judges"])


def lines_of(capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    assert _run(["judges", *words]) == 0
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("columns", [40, 60, 80, 140])
def test_the_list_names_every_builtin_judge_within_the_width(
    columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = lines_of(capsys, "list", "--all")
    assert max(map(len, lines)) <= columns
    if columns >= 60:
        assert {line.split()[0] for line in lines if line} >= {*BUILTIN_NAMES, "windows", "marked", "detection"}


def test_the_list_says_what_each_can_do_and_needs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    rows = {line.split()[0]: line.split()[1:] for line in lines_of(capsys, "list") if line}
    assert rows["judge"] == ["local", "probs", "schema", "same", "from"]
    assert rows["coin"] == ["yes", "-", "yes", "yes", "built", "in"]
    assert rows["openai"] == ["-", "opt", "opt", "-", *["built", "in,", "needs", "MODEL"]]
    assert rows["oracle"] == ["yes", "-", "yes", "yes", *["built", "in,", "needs", "evidence"]]
    assert rows["vllm"] == ["yes", "yes", "opt", "-", *["built", "in,", "needs", "MODEL,", "[vllm]"]]


def test_the_list_as_json_is_whole(capsys: pytest.CaptureFixture[str]) -> None:
    rows = json.loads("\n".join(lines_of(capsys, "list", "--json", "--all")))
    assert {row["name"] for row in rows if row["kind"] == "judge"} >= BUILTIN_NAMES
    assert {row["name"] for row in rows if row["kind"] == "scorer"} >= {"marked", "detection"}
    assert next(row for row in rows if row["name"] == "coin")["abilities"]["same"] == "yes"
    assert not any("capabilities" in row for row in rows)


def test_a_judge_that_is_named_is_made_and_says_what_it_can_do(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["list", "openai:m", "--option", "base_url=http://localhost:9/v1", "--option", "max_concurrent=3"]
    out = "\n".join(lines_of(capsys, *words))
    assert 'model = "m"' in out
    assert "max_concurrent = 3" in out
    assert "coin" not in out


def test_a_judge_that_keeps_the_contract_passes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    lines = lines_of(capsys, "check", "coin", "--option", "seed=3", "--option", "heads=0.25")
    assert not [line for line in lines if line.startswith("✗")]
    n_kept = sum(line.startswith("✓") for line in lines)
    assert n_kept >= 15
    assert lines[-1] == f"{n_kept} kept, 0 broken, {sum(line.startswith('–') for line in lines)} not asked."
    assert max(map(len, lines)) <= 60


def test_the_number_of_questions_is_told_without_asking_any(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["check", "openai:m", "--option", "base_url=http://localhost:9/v1"]
    (line,) = lines_of(capsys, *words, "--requests")
    asked = json.loads("\n".join(lines_of(capsys, *words, "--requests", "--json", "--at-once", "8")))
    assert int(line.split()[0]) + 4 == asked["n_questions"]
    thorough = json.loads("\n".join(lines_of(capsys, *words, "--requests", "--json", "--thorough", "--at-once", "8")))
    assert thorough["n_questions"] == asked["n_questions"] + 1
    assert "probe" in line


def test_an_endpoint_that_is_down_is_told_and_asked_no_further(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["check", "openai:m", "--option", "base_url=http://127.0.0.1:1/v1", "--option", "probe=off", "--json"]
    assert _run(["judges", *words]) == 3
    found = {result["name"]: result for result in json.loads(capsys.readouterr().out)}
    assert [name for name, result in found.items() if result["is_passed"] is False] == [FIRST_QUESTION]
    assert found["errors are mapped: dead endpoint"]["is_passed"] is True


@pytest.mark.parametrize(("kind", "name"), [("scorer", "marked"), ("explainer", "windows")])
def test_scorers_and_explainers_are_checked_too(kind: str, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert ", 0 broken, 0 not asked." in lines_of(capsys, "check", name, "--kind", kind)[-1]
    assert _run(["judges", "check", "nobody", "--kind", kind]) == 2
    assert f"unknown {kind} 'nobody'" in capsys.readouterr().err


def test_marks_are_plain_where_the_terminal_is_and_odd_text_is_escaped() -> None:
    results = [CheckResult("a", True, "é"), CheckResult("b", False, "no"), CheckResult("c", None, "half \ud83d")]
    plain = render_findings(results, width=60, encoding="ascii")
    assert plain.isascii()
    assert [line.split()[0] for line in plain.splitlines()[1:4]] == ["ok", "FAIL", "-"]
    fancy = render_findings(results, width=60)
    assert [line[0] for line in fancy.splitlines()[1:4]] == ["✓", "✗", "–"]
    fancy.encode()


def test_long_names_of_strangers_stay_readable() -> None:
    listing = PluginListing("my-quite-long-judge", "a:b", "autointerp-sample-plugins")
    for width in (60, 80, 130):
        lines = render_judges([(listing, None)], width=width).splitlines()
        assert lines[1].startswith("my-quite-long-judge  ?      ?      ?       ?     autointer")
        assert max(map(len, lines)) <= width


def test_a_name_that_two_packages_bring_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    listing = PluginListing("twice", "a:b", "first-package", ("second-package",))
    for width in (60, 140):
        text = " ".join(render_judges([(listing, None)], width=width).split())
        assert "twice is brought by first-package, second-package: none of them can be used." in text


def test_a_factory_that_stumbles_over_an_address_has_none(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def opened(name: str, options: dict[str, object]) -> object:
        if options:
            raise PluginError("unexpected keyword argument 'base_url'")
        return coin()

    monkeypatch.setattr(judge_commands, "open_judge", opened)
    assert _run(["judges", "check", "coin", "--json"]) == 0
    found = {result["name"]: result["is_passed"] for result in json.loads(capsys.readouterr().out)}
    assert found["errors are mapped: dead endpoint"] is None


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
        (["coin:tiny", "--kind", "scorer"], ["unknown scorer 'coin:tiny'"]),
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
