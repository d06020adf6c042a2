"""The commands: what they print, that a broken-off audition goes on, and that no key is written anywhere."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from autointerp.audition.certificate import read_certificate
from autointerp.audition.exam import make_exam
from autointerp.cli import audition_commands
from autointerp.cli.main import _run
from autointerp.errors import ArtefactError
from autointerp.runs.journal import open_journal
from autointerp.runs.layout import RunLayout
from tests.audition.judges import exam_made_once
from tests.integration.commands import Called, answer, call, one_line
from tests.judges.fault_server import FaultServer

KEY = "sk-test-90a1b2c3d4e5f607"
SMALL = ("--size", "small", "--scorer", "detection")
N_REQUESTS = 84


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with nothing of the user's round it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "140")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr(audition_commands, "make_exam", exam_made_once)
    return tmp_path


def audition(capsys: pytest.CaptureFixture[str], *words: str | Path) -> Called:
    return call(capsys, "judges", "audition", *words)


def test_several_judges_make_a_board(capsys: pytest.CaptureFixture[str]) -> None:
    done = audition(capsys, "coin", "literal", "oracle", "--wording", "rule", *SMALL)
    assert done.code == 0, done.err
    rows = [line.split()[0] for line in done.out.splitlines() if re.match(r"(coin|literal|oracle) ", line)]
    assert rows == ["literal", "oracle", "coin"], "both are right, and only one does as it is told"
    assert f"{N_REQUESTS} requests per judge" in done.err
    for judge in ("coin", "literal", "oracle"):
        found = read_certificate(Path("results/auditions") / judge)
        assert (found["judge"], found["exam"]["n_requests"], found["exam"]["wording"]) == (judge, N_REQUESTS, "rule")
        assert found["exam"]["hash"] == make_exam(("detection",), size="small", wording="rule").hash
    again = call(capsys, "judges", "board", "results/auditions")
    assert again.out == done.out
    assert max(map(len, again.out.splitlines())) <= 140


def test_the_board_keeps_exams_apart_and_has_other_forms(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert audition(capsys, "coin", *SMALL, "--out", tmp_path / "a").code == 0
    assert audition(capsys, "literal", *SMALL, "--wording", "rule", "--out", tmp_path / "b").code == 0
    done = call(capsys, "judges", "board", tmp_path / "a", tmp_path / "b" / "literal" / "audition.json")
    assert done.out.count("scorer detection: exam 2") == 2
    markdown = call(capsys, "judges", "board", tmp_path / "a", "--format", "md").out
    row = next(line for line in markdown.splitlines() if line.startswith("| coin |"))
    assert row.count("|") == next(line for line in markdown.splitlines() if line.startswith("| judge")).count("|")
    plain = json.loads(call(capsys, "judges", "board", tmp_path / "a", "--format", "json").out)
    assert plain == [read_certificate(tmp_path / "a" / "coin")]
    one_line(call(capsys, "judges", "board", tmp_path / "a", "--format", "xml"), "--format xml", "table, md, json")


def test_a_level_is_examined_alone_and_exams_of_before_stay_readable(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    done = audition(capsys, "coin", *SMALL, "--level", "easy", "--level", "medium", "--out", tmp_path / "a")
    assert "12 concepts (easy, medium)" in done.err
    assert "exam 2, small, easy, medium, 12 concepts" in done.out
    old = read_certificate(tmp_path / "a" / "coin")
    del old["exam"]["levels"], old["exam"]["babel"], old["marks"]["detection"]["levels"]
    old["exam"] |= {"version": 1, "hash": "58e4ab0bf6427583"}
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "audition.json").write_text(json.dumps(old))
    board = call(capsys, "judges", "board", tmp_path / "a", tmp_path / "old", "--format", "md").out
    assert "exam 1, small, 12 concepts" in board
    assert "exam 2, small, easy, medium, 12 concepts" in board
    new, before = (line.split("|") for line in board.splitlines() if line.startswith("| coin |"))
    assert {tuple(cell.strip() == "-" for cell in row[3:6]) for row in (new, before)} == {
        (False, False, True),
        (True, True, True),
    }


@pytest.mark.parametrize("columns", ["50", "80", "200"])
def test_the_board_fits_the_terminal(
    columns: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    lines = audition(capsys, "coin", *SMALL).out.splitlines()
    assert max(map(len, lines)) <= int(columns)
    assert ("Left out for want of width" in " ".join(lines)) == (columns != "200")


def test_the_price_is_said_and_nothing_asked(capsys: pytest.CaptureFixture[str]) -> None:
    prices = ["--option", "usd_per_million_input_tokens=1.0", "--option", "usd_per_million_output_tokens=4.0"]
    words = ["openai:m", "--option", "base_url=http://localhost:9/v1", *prices, "--requests"]
    done = audition(capsys, *words, *SMALL)
    assert done.code == 0
    assert f"{N_REQUESTS} requests" in done.out
    said = re.search(r"about \$(\d+\.\d+), at most \$(\d+\.\d+)", done.out)
    assert said is not None
    assert 0 < float(said[1]) < float(said[2]) < 1
    (cost,) = json.loads(audition(capsys, *words, *SMALL, "--json").out)
    assert cost["n_requests"] == N_REQUESTS
    assert cost["n_windows"] == 10 * N_REQUESTS
    assert cost["usd"] == pytest.approx((cost["input_tokens"] + 4 * cost["output_tokens"]) / 1e6)
    assert not Path("results").exists()


def test_the_json_is_the_certificates(capsys: pytest.CaptureFixture[str]) -> None:
    done = audition(capsys, "coin", *SMALL, "--json")
    assert json.loads(done.out) == [read_certificate(Path("results/auditions/coin"))]
    assert done.err == ""


def test_an_audition_that_a_ceiling_stops_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    stopped = audition(capsys, "coin", *SMALL, "--json", "--max-requests", "30")
    one_line(stopped, "limits.max_requests = 30 is reached", code=3)
    folder = Path("results/auditions/coin")
    with pytest.raises(ArtefactError, match="does not exist; hold the audition anew"):
        read_certificate(folder)
    with open_journal(RunLayout(folder).journal, must_exist=True) as journal:
        assert journal.totals().n_replies == 30
    done = audition(capsys, "coin", *SMALL)
    assert f"{N_REQUESTS - 30} requests sent, 30 answered from journal or cache" in done.err
    whole = read_certificate(folder)
    assert audition(capsys, "coin", *SMALL, "--out", "elsewhere").code == 0
    assert whole == read_certificate(Path("elsewhere/coin"))


def served(base_url: str, **options: Any) -> list[str]:
    given = {"base_url": base_url, "key_env": "TEST_JUDGE_KEY", "probe": "off", **options}
    return ["openai:served", *(word for key, value in given.items() for word in ("--option", f"{key}={value}"))]


def test_an_endpoint_is_auditioned_within_its_budget_and_its_key_is_nowhere(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TEST_JUDGE_KEY", KEY)
    price = {"usd_per_million_input_tokens": 10.0, "usd_per_million_output_tokens": 10.0}
    with FaultServer(answer=answer, key=KEY) as server:
        words = [*served(server.base_url, **price), *SMALL]
        stopped = audition(capsys, *words, "--max-usd", "0.06", "--json")
        one_line(stopped, "limits.max_usd = 0.06 is reached", code=3)
        n_first = server.arrivals.total()
        assert 0 < n_first < N_REQUESTS
        done = audition(capsys, *words)
        assert done.code == 0, done.err
        assert server.arrivals.total() == N_REQUESTS, "what was paid for is not paid for twice"
    grades = read_certificate(tmp_path / "results/auditions/openai-served")["marks"]["detection"]
    assert grades["usd_per_1000"] > 0
    assert grades["unparsed_frac"] == 0.0
    assert 0.3 < grades["balanced_accuracy"]["mean"] < 0.7
    for output in (stopped, done):
        assert KEY not in output.out + output.err
    for file in (path for path in tmp_path.rglob("*") if path.is_file()):
        assert KEY.encode() not in file.read_bytes(), file


def test_a_key_that_is_missing_is_told_before_another_judge_is_asked(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TEST_JUDGE_KEY", raising=False)
    words = ["coin", "openai:m", "--option", "openai.key_env=TEST_JUDGE_KEY", *SMALL]
    one_line(audition(capsys, *words, "--json"), "TEST_JUDGE_KEY", "not set")
    assert not Path("results").exists()


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["coyn"], ["unknown judge 'coyn'", "did you mean 'coin'"]),
        (["coin", "--option", "seed"], ["--option 'seed' is not of the form KEY=VALUE"]),
        (["coin", "noisy", "--option", "seed=1"], ["--option seed", "coin.seed=VALUE"]),
        (["coin", "--option", "sead=1"], ["judges.coin.sead is no option", "did you mean 'seed'"]),
        (["openai:m", "--option", f"api_key={KEY}"], ["judges.openai.api_key holds a key itself"]),
        (["coin", "--scorer", ","], ["--scorer names no scorer"]),
        (["coin", "--scorer", "simulation"], ["--scorer simulation", "use detection or marked"]),
        (["coin", "--config", "nothing.toml"], ["config 'nothing.toml' does not exist"]),
    ],
)
def test_mistakes_are_told_in_a_line(words: list[str], parts: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    done = audition(capsys, *words, "--size", "small", "--json")
    one_line(done, *parts)
    assert KEY not in done.err


def test_options_are_a_judges_own(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["coin", "noisy", "--option", "coin.heads=1.0", "--option", "noisy.sensitivity=1.0", *SMALL, "--json"]
    coin, noisy = json.loads(audition(capsys, *words, "--set", "judges.noisy.specificity=1.0").out)
    assert coin["marks"]["detection"]["yes_bias"]["mean"] == 0.5
    assert noisy["marks"]["detection"]["balanced_accuracy"]["mean"] == 1.0


def test_the_journal_shows_the_exam(capsys: pytest.CaptureFixture[str]) -> None:
    assert audition(capsys, "oracle", *SMALL).code == 0
    out = call(capsys, "journal", "results/auditions/oracle", "--feature", "audition/0").out
    assert "The feature fires on Arabic letters; each part fires." in out
    assert "Arabic or Hebrew" in out


def test_a_damaged_or_foreign_certificate_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "audition.json"
    one_line(call(capsys, "judges", "board", file), "does not exist; hold the audition anew")
    for text, said in (("{", "is damaged: no JSON"), ('{"schema_version": 99}', "schema version 99"), ("[]", "None")):
        file.write_text(text)
        one_line(call(capsys, "judges", "board", file), said, "hold the audition anew")
    file.write_text('{"schema_version": 1, "judge": "x"}')
    one_line(call(capsys, "judges", "board", file), "lacks the judge, the exam or the marks")


def test_agreement_and_correction_of_real_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two runs scored from the same evidence by judges of known errors."""
    from autointerp.config.loading import parse_config, render_config
    from autointerp.records.evidence_file import write_evidence
    from autointerp.records.planted import plant_evidence

    source = RunLayout(tmp_path / "source")
    source.evidence.mkdir(parents=True)
    tree = {"name": "demo", "dictionaries": [{"name": "planted", "kind": "relu", "n_features": 8}]}
    source.config.write_text(render_config(parse_config(tree)))
    write_evidence(source.evidence_file("planted"), [plant_evidence(feature) for feature in range(8)])
    for name, judge in (("a", "noisy"), ("b", "coin"), ("c", "noisy")):
        changes = ["--set", f"score.judge={judge}", "--set", "judges.noisy.sensitivity=0.95"]
        assert call(capsys, "rescore", source.root, "--out", tmp_path / name, "--json", *changes).code == 0
    same = call(capsys, "judges", "agree", tmp_path / "a", tmp_path / "c")
    assert "alpha 1.000" in same.out
    (found,) = json.loads(call(capsys, "judges", "agree", tmp_path / "a", tmp_path / "b", "--json").out)
    assert found["judges"] == ["noisy", "coin"]
    assert abs(found["alpha"]["mean"]) < 0.3
    assert audition(capsys, "noisy", *SMALL, "--option", "sensitivity=0.95").code == 0
    words = ["judges", "correct", tmp_path / "a", "--audition", "results/auditions/noisy"]
    assert "of firing windows called firing" in call(capsys, *words).out
    shares = {row["of"]: row for row in json.loads(call(capsys, *words, "--json").out)}
    assert shares["firing"]["called"] < shares["firing"]["corrected"]["value"]
    assert shares["silent"]["corrected"]["value"] < shares["silent"]["called"]
    one_line(
        call(capsys, "judges", "correct", tmp_path / "b", "--audition", "results/auditions/noisy"),
        "was scored by coin, and the audition is of noisy",
    )


def test_help_names_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(["judges", "--help"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in ("audition", "board", "agree", "correct"))
