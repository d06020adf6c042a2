"""`journal` and `merge` on the command line: readable at 60 and 120 columns, and one line for each mistake."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from autointerp import pipeline
from autointerp.cli.journal_text import render_asked, render_summary
from autointerp.cli.main import _run
from autointerp.runs.journal_entries import Asked
from autointerp.runs.journal_view import open_view
from autointerp.runs.layout import RunLayout
from autointerp.runs.shards import parse_shard
from tests.integration.commands import answer
from tests.integration.test_faulty_endpoint import a_third_fails
from tests.judges.fault_server import FaultServer
from tests.stages.harvested import FEATURES, make_config, make_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunLayout:
    """A run against a server of which a third of the replies fail or cannot be read, without its report."""
    root = tmp_path_factory.mktemp("journal") / "run"
    with FaultServer(plan=a_third_fails, answer=answer) as server:
        judges = {"openai": {"base_url": server.base_url, "key_env": "", "probe": "off"}}
        config = make_config(
            *("explain.judge='openai:served'", "score.judge='openai:served'", "limits.timeout_s=0.3"),
            f"limits.cache='{root.parent}/cache'",
            judges=judges,
        )
        make_run(root, config)
        pipeline.run(config, out=root, last="score")
    return RunLayout(root)


def shown(capsys: pytest.CaptureFixture[str], *words: object, code: int = 0) -> str:
    capsys.readouterr()
    assert _run(["journal", *map(str, words)]) == code
    out, err = capsys.readouterr()
    if code:
        assert err.count("\n") == 1, err
        assert not out
    return err if code else out


@pytest.mark.parametrize("width", [60, 120])
def test_everything_fits_the_terminal(
    run: RunLayout, width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    for words in ((), ("--failures",), ("--slowest", 5), ("--feature", f"sae/{FEATURES[2]}")):
        text = shown(capsys, run.root, *words)
        assert max(map(len, text.splitlines())) <= width, words
    summary = shown(capsys, run.root)
    for word in ("detection", "marked", "explain", "HTTP 500", "unparsed", "p50/p95", "requests sent"):
        assert word in summary
    with open_view([run.journal]) as view:
        works, totals = view.summarise(), view.totals()
    assert f"{totals['n_sent']:,} requests sent, {totals['n_failed_attempts']:,} of them failed" in summary
    assert render_summary(totals, works, width=width) == summary


def test_a_conversation_shows_question_answer_and_the_truth(run: RunLayout, capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, run.root, "--feature", f"sae/{FEATURES[2]}")
    assert text.index("explained") < text.index("scored by detection") < text.index("scored by marked")
    assert "user:" in text and "reply:" in text and "explanation:" in text
    assert "window: truth -> verdict" in text
    assert "as in [" in text  # the system prompt of a second request of the same kind
    asked = json.loads(shown(capsys, run.root, "--feature", f"sae/{FEATURES[2]}", "--json"))
    n_right = sum((fires == "fires") == truth for one in asked for _, _, truth, fires, _ in one["verdicts"])
    assert sum(len(one["verdicts"]) for one in asked) - n_right == text.count(" WRONG") + text.count(" LOST")
    one = json.loads(shown(capsys, run.root, "--key", asked[0]["key"], "--json"))
    assert one[0]["messages"] == asked[0]["messages"]


def test_the_summary_as_csv_and_json_hold_the_same_rows(run: RunLayout, capsys: pytest.CaptureFixture[str]) -> None:
    rows = list(csv.DictReader(io.StringIO(shown(capsys, run.root, "--csv"))))
    told = json.loads(shown(capsys, run.root, "--json"))
    assert [row["n_replies"] for row in rows] == [str(by["n_replies"]) for by in told["by"]]
    assert sum(int(row["n_replies"]) for row in rows) == told["n_replies"]
    assert sum(int(row["answers.unparsed"] or 0) for row in rows if row["scorer"]) == told["answers"]["unparsed"]


def test_mistakes_are_one_line_with_the_fix(run: RunLayout, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert f"sae: 8 features, {FEATURES[0]} to {FEATURES[-1] + 7}" in shown(
        capsys, run.root, "--feature", "sae/1", code=2
    )
    assert "for example sae/12" in shown(capsys, run.root, "--feature", "sae", code=2)
    assert "hexadecimal" in shown(capsys, run.root, "--key", "xyz", code=2)
    assert "no request has such a key" in shown(capsys, run.root, "--key", "0" * 32, code=2)
    assert "give one of them" in shown(capsys, run.root, "--failures", "--slowest", "3", code=2)
    assert "does not exist" in shown(capsys, tmp_path, code=2)


def test_a_text_under_study_cannot_write_to_the_terminal() -> None:
    hostile = Asked(
        *("k" * 32, "sae", 1, "windows", None, None, "m", (("user", "a \x1b[2J b\rc"),), "\x07 reply", "stop", "judge"),
        *(1, 1, 0, None, 0.1, 1, 0.0),
    )
    text = render_asked([hostile], width=80)
    assert not {"\x1b", "\r", "\x07"} & set(text)
    assert "\\u001b[2J" in text


def test_shards_are_run_merged_and_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = make_config("controls.shuffled=0.0")
    layout = make_run(tmp_path / "run", config)
    words = ["run", str(layout.config), "--out", str(layout.root)]
    for shard in ("1/2", "2/2"):
        assert _run([*words, "--shard", shard]) == 0
    assert f"autointerp merge {layout.root}" in capsys.readouterr().out
    before = json.loads(shown(capsys, layout.root, "--json"))
    assert _run(["merge", str(layout.root)]) == 0
    merged = capsys.readouterr().out
    assert "2 shards merged" in merged and f"autointerp report {layout.root}" in merged
    assert json.loads(shown(capsys, layout.root, "--json")) == before  # nothing is counted twice
    assert _run(["merge", str(layout.root), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["n_changed"] == 0
    assert _run(["report", str(layout.root)]) == 0
    assert layout.scores.is_file()
    for wrong, said in (("3/2", "I/N"), ("x", "I/N")):
        assert _run([*words, "--shard", wrong]) == 2
        assert said in capsys.readouterr().err
    assert _run([*words, "--shard", "1/2", "--fresh"]) == 2
    assert str(RunLayout(layout.root, shard=parse_shard("1/2")).journal.parent) in capsys.readouterr().err
