from __future__ import annotations

import csv
import io
import json
import re
from typing import Any

import pytest

from autointerp.board.entries import build_entries
from autointerp.board.leaderboard import FORMATS, render_leaderboard
from autointerp.board.scores import build_scores
from autointerp.board.summary import build_summary
from autointerp.errors import ConfigError
from tests.board.synthetic import make_run


def interval(mean: float, half: float = 0.02, n: int = 200) -> dict[str, Any]:
    return {"mean": mean, "lo": mean - half, "hi": mean + half, "n": n}


def entry(name: str, f1: float | None, **changes: Any) -> dict[str, Any]:
    return {
        "name": name,
        "dictionary": name,
        "site": "blocks.0.mlp_post",
        "explainer": "windows",
        "scorer": "detection",
        "judge": "pattern",
        "n_sampled": 200,
        "n_scored": 188,
        "unscored": {"too_few_positives": 8, "too_few_negatives": 0, "judge": 4},
        "f1": None if f1 is None else interval(f1),
        "f1_lenient": None if f1 is None else interval(f1 + 0.01),
        "balanced_accuracy": interval(0.75),
        "excess": interval(0.21, n=50),
        "beyond_token": interval(-0.035),
        "near_miss": interval(0.58, n=120),
        "near_miss_beyond_token": interval(-0.012, n=120),
        "baselines": {"always_yes_f1": 2 / 3, "always_no_accuracy": 0.5, "coin_f1": 0.4968},
        "unparsed_frac": 0.01,
        "refused_frac": 0.002,
        "error_frac": 0.0,
        "usd": 1.5,
        "prompt_hash": "abc",
        "f1_deviation": 0.25,
        **changes,
    }


def summary(*entries: dict[str, Any], run: str = "demo") -> dict[str, Any]:
    return {"schema_version": 1, "run": run, "about": {}, "entries": list(entries)}


BOARD = summary(
    entry("neurons", 0.61), entry("sae", 0.75), entry("topk", 0.8), entry("mlp", 0.7), entry("random", None)
)


def test_table_is_the_golden_one():
    assert render_leaderboard([BOARD]).split("\nNot scored")[0] == (
        "scorer detection, explainer windows, judge pattern\n"
        "                F1 always                     beyond  near miss  scored lost\n"
        "entry          95%    yes coin     excess      token   b. token    dead  USD\n"
        "topk         0.800   .667 .497     +0.210     -0.035     -0.012 188/200 3.3%\n"
        "rank 1  .780, .820             +.19, +.23 -.06, -.02 -.03, +.01       - 1.50\n"
        "sae          0.750   .667 .497     +0.210     -0.035     -0.012 188/200 3.3%\n"
        "rank 2  .730, .770             +.19, +.23 -.06, -.02 -.03, +.01       - 1.50\n"
        "mlp          0.700   .667 .497     +0.210     -0.035     -0.012 188/200 3.3%\n"
        "rank 3  .680, .720             +.19, +.23 -.06, -.02 -.03, +.01       - 1.50\n"
        "neurons      0.610   .667 .497     +0.210     -0.035     -0.012 188/200 3.3%\n"
        "rank 4  .590, .630             +.19, +.23 -.06, -.02 -.03, +.01       - 1.50\n"
        "random           -   .667 .497     +0.210     -0.035     -0.012 188/200 3.3%\n"
        "                               +.19, +.23 -.06, -.02 -.03, +.01       - 1.50\n"
    )


@pytest.mark.parametrize("width", [40, 52, 66, 80, 120])
def test_no_line_of_the_table_is_wider_than_the_terminal_and_f1_never_goes(width: int):
    text = render_leaderboard([BOARD], width=width)
    assert max(len(line) for line in text.splitlines()) <= width
    assert "0.800" in text
    assert ".780, .820" in text
    assert ".667" in text
    assert ("Left out for want of width" in " ".join(text.split())) == (width < 79)


def test_what_the_columns_mean_is_said_on_request_so_that_the_board_stays_on_the_screen():
    board, explained = render_leaderboard([BOARD]), render_leaderboard([BOARD], is_explained=True)
    assert len(board.splitlines()) <= 23
    assert "--explain" in board
    assert "always yes, coin: F1 of a judge" not in board
    for text in (board, explained):  # what concerns this board alone is never left out
        assert "Not scored (detection): topk 8 too few firing windows" in " ".join(text.split())
    assert "always yes, coin: F1 of a judge" in " ".join(explained.split())
    assert "--explain" not in explained


def test_colour_only_where_asked_for():
    assert "\x1b[" not in render_leaderboard([BOARD])
    assert "\x1b[1m" in render_leaderboard([BOARD], has_colour=True)


def test_markdown_has_one_row_per_entry_with_intervals_and_baselines_beside_them():
    text = render_leaderboard([BOARD], "md")
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert [row.split("|")[1].strip() for row in rows] == ["rank", "1", "2", "3", "4", "-"]
    assert [row.split("|")[2].strip() for row in rows] == ["dictionary", "topk", "sae", "mlp", "neurons", "random"]
    assert len({row.count("|") for row in rows}) == 1
    assert rows[1].startswith(
        "| 1 | topk | 0.800 [0.780, 0.820] | 0.667 | 0.497 | 0.750 [0.730, 0.770] | +0.210 [+0.190,"
    )


def test_csv_and_json_hold_every_figure_in_full():
    rows = list(csv.DictReader(io.StringIO(render_leaderboard([BOARD], "csv"))))
    assert [row["name"] for row in rows] == ["topk", "sae", "mlp", "neurons", "random"]
    assert float(rows[0]["f1_lo"]) == 0.78
    assert float(rows[0]["always_yes_f1"]) == 2 / 3
    assert rows[4]["f1"] == ""
    assert rows[0]["unscored_judge"] == "4"
    document = json.loads(render_leaderboard([BOARD], "json"))
    assert document["schema_version"] == 1
    assert document["entries"][0] == {"run": "demo", **entry("topk", 0.8)}


def test_scorers_judges_and_explainers_are_never_ranked_together():
    text = render_leaderboard([summary(entry("sae", 0.7), entry("sae", 0.9, scorer="marked"))], "md")
    assert text.index("scorer detection") < text.index("0.700") < text.index("scorer marked") < text.index("0.900")
    assert "detection and marked are different tasks" in text
    assert "different tasks" not in render_leaderboard([BOARD], "md")


def test_several_runs_name_the_run():
    text = render_leaderboard([summary(entry("sae", 0.7), run="a"), summary(entry("sae", 0.8), run="b")], "md")
    assert text.index("| 1 | b/sae |") < text.index("| 2 | a/sae |")


def test_caveats_say_what_the_reader_must_know():
    text = render_leaderboard([BOARD], "md")
    assert "always yes" in text
    # (1.960 + 0.842) * 0.25 * sqrt(2 / 200)
    assert "With n = 200 features, two entries must differ by 0.070 in F1" in text
    assert "topk 8 too few firing windows, 4 no explanation or no answer from the judge" in text
    assert "No shuffled control was run" not in text
    without = render_leaderboard([summary(entry("sae", 0.7, excess=None))], "md")
    assert "No shuffled control was run" in without


def test_html_is_one_file_that_loads_nothing_and_escapes():
    text = render_leaderboard([summary(entry("sae", 0.7, judge="<img src=x onerror=alert(1)>"))], "html")
    assert text.count("<svg") == 2
    assert "<img" not in text
    assert not re.search(r"(src|href)=\"(?!data:|#)", text)
    assert "default-src &#39;none&#39;" in text or "default-src 'none'" in text


def test_an_unknown_format_lists_the_known_ones():
    with pytest.raises(ConfigError, match=r"--format pdf: no such format; use one of table, md, csv, json, html"):
        render_leaderboard([BOARD], "pdf")


@pytest.mark.parametrize("format", FORMATS)
def test_no_entry_and_real_entries_render_in_every_format(format: str):
    assert render_leaderboard([summary()], format)
    run = make_run({"sae": "noisy", "mumble": "mumbler"}, n_features=2)
    scores = build_scores(run.evidences, run.explanations, run.verdicts)
    text = render_leaderboard([build_summary("x", build_entries(scores, seed=0))], format)
    assert "mumble" in text
    assert "nan" not in text.lower().replace("explanan", "")
