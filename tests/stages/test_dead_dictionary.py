"""A dictionary of which no feature fires stays on the board: nothing scored of what was wanted, all of it dead."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from autointerp.board.leaderboard import render_leaderboard
from autointerp.progress import SilentProgress
from autointerp.records.evidence_file import write_evidence
from autointerp.run import Run
from autointerp.runs.layout import RunLayout, write_text
from autointerp.runs.manifest import open_run
from autointerp.stages import explain, report, score
from tests.stages.harvested import DICTIONARIES, make_config, make_run

ORIGIN = {"format": "saelens", "architecture": "topk", "model": "gpt2", "hook": "blocks.5.hook_resid_post"}


def finished(root: Path, dead: Sequence[str]) -> RunLayout:
    """A run whose dictionaries `dead` have no feature to sample; the first of all was loaded from elsewhere."""
    config = make_config("harvest.n_features=5", "explain.judge='pattern'")
    layout = make_run(root, config)
    for name in DICTIONARIES:
        is_dead = name in dead
        if is_dead:
            write_evidence(layout.evidence_file(name), [])
        facts: dict[str, Any] = {"l0": 0.0 if is_dead else 3.0, "dead_frac": 1.0 if is_dead else 0.25, "n_features": 60}
        fvu = 1.5 if is_dead else 0.2
        facts |= {"kind": "load", "fvu": fvu, "explained_variance": 1 - fvu, "fidelity": {"recovered_zero_frac": 0.1}}
        facts |= {"origin": ORIGIN | {"forced": ["another model"]}} if name == DICTIONARIES[0] else {}
        facts |= {} if is_dead else {"ultralow": {"limit": 0.001, "n_features": 27, "live_frac": 0.6}}
        write_text(layout.quality(name), json.dumps(facts))
    manifest = open_run(layout, config)
    for stage in ("train", "harvest"):
        manifest.finish(stage, {})
    for stage in (explain, score, report):
        stage.run(config, layout, SilentProgress())
    return layout


@pytest.fixture(scope="module", params=[["sae"], ["sae", "neurons"]], ids=["one", "all"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> RunLayout:
    return finished(tmp_path_factory.mktemp("dead") / "run", request.param)


def summary_of(run: RunLayout) -> dict[str, Any]:
    return json.loads(run.summary.read_text())


def test_it_has_an_entry_in_every_group(run: RunLayout) -> None:
    entries = summary_of(run)["entries"]
    assert sorted((e["scorer"], e["name"]) for e in entries) == [
        (scorer, name) for scorer in ("detection", "marked") for name in DICTIONARIES
    ]
    for entry in (e for e in entries if e["name"] == "sae"):
        assert (entry["n_sampled"], entry["n_scored"], entry["f1"], entry["score"]) == (5, 0, None, None)
        assert entry["unscored"] == {"too_few_positives": 0, "too_few_negatives": 0, "judge": 0, "dead": 5}
        assert (entry["metric"], entry["site"], entry["quality"]["dead_frac"]) == ("f1", "mlp_post.0", 1.0)
    live = [e for e in entries if e["n_scored"]]
    assert all("dead" not in e["unscored"] for e in live)
    assert {e["prompt_hash"] for e in entries if e["scorer"] == "marked"} == {live[-1]["prompt_hash"] if live else ""}


def test_every_form_of_the_board_shows_it_and_the_dead_share_beside_every_score(run: RunLayout) -> None:
    summary = summary_of(run)
    for format in ("table", "md", "html", "csv", "json"):
        assert "sae" in render_leaderboard([summary], format)
    table = render_leaderboard([summary], "table", width=80)
    assert "scored" in table and "dead" in table
    lines = table.splitlines()
    place = next(i for i, line in enumerate(lines) if line.startswith("sae"))
    assert "0/5" in lines[place] and "100%" in lines[place + 1]
    rows = list(csv.DictReader(io.StringIO(render_leaderboard([summary], "csv"))))
    assert {row["name"]: row["dead_frac"] for row in rows}["sae"] == "1.0"
    assert {row["unscored_dead"] for row in rows if row["name"] == "sae"} == {"5"}
    assert "| 0/5 | 100% |" in render_leaderboard([summary], "md")
    assert "sae 5 dead features: none fires often enough to be sampled" in " ".join(table.split())
    if any(entry["n_scored"] for entry in summary["entries"]):
        assert "25.0%" in table
    assert "sae 1.50; was the dictionary made for this model" in " ".join(table.split())
    page = run.report.read_text()
    assert page.count(">100%<") >= 2


def test_an_ultralow_density_cluster_is_told(run: RunLayout) -> None:
    summary = summary_of(run)
    live = {entry["name"] for entry in summary["entries"] if entry["n_scored"]}
    for entry in summary["entries"]:
        assert (entry["quality"].get("ultralow") or {}).get("live_frac") == (0.6 if entry["name"] in live else None)
    told = [f"{name} 60% (under 0.001 of the tokens)" for name in live]
    text = " ".join(render_leaderboard([summary], "table", width=80).split())
    assert all(each in text and each in run.report.read_text() for each in told)
    assert ("ultralow" in text) == bool(live)


def test_the_frame_has_its_row_too(run: RunLayout) -> None:
    frame = Run(run.root).leaderboard.loc["sae"]
    assert set(frame["n"]) == {0} and set(frame["dead_frac"]) == {1.0}


def test_where_a_dictionary_comes_from_stands_beside_the_figures(run: RunLayout) -> None:
    summary = summary_of(run)
    assert {entry["name"] for entry in summary["entries"] if "origin" in entry} == {"neurons"}
    text = "neurons is saelens topk made for gpt2 blocks.5.hook_resid_post (force = true: another model)"
    for format in ("table", "md"):
        assert text in " ".join(render_leaderboard([summary], format).split())
    assert any(text in line for line in json.loads(render_leaderboard([summary], "json"))["caveats"])
    rows = list(csv.DictReader(io.StringIO(render_leaderboard([summary], "csv"))))
    assert {row["name"]: row["origin"] for row in rows}["neurons"].startswith("saelens topk made for gpt2")
    assert "made for gpt2 blocks.5.hook_resid_post" in run.report.read_text()
