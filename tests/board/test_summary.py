from __future__ import annotations

import json
from pathlib import Path

import pytest

from autointerp.board.entries import build_entries
from autointerp.board.scores import build_scores
from autointerp.board.summary import build_summary, read_summary, write_summary
from autointerp.errors import ArtefactError
from tests.board.synthetic import make_run

KEYS = [
    *("name", "dictionary", "site", "explainer", "scorer", "judge", "n_sampled", "n_scored", "unscored"),
    *("f1", "f1_lenient", "balanced_accuracy", "excess", "beyond_token", "near_miss", "baselines"),
    *("unparsed_frac", "refused_frac", "error_frac", "usd", "prompt_hash"),
]


@pytest.fixture(scope="module")
def summary() -> dict:
    run = make_run({"sae": "noisy", "mumble": "mumbler"}, n_features=3)
    scores = build_scores(run.evidences, run.explanations, run.verdicts)
    return build_summary("demo", build_entries(scores, seed=0), about={"subject": "builtin"})


def test_has_the_documented_keys_in_their_order(summary: dict, tmp_path: Path):
    path = tmp_path / "summary.json"
    write_summary(path, summary)
    stored = json.loads(path.read_text())
    assert list(stored)[:2] == ["schema_version", "run"]
    assert (stored["schema_version"], stored["run"]) == (1, "demo")
    for entry in stored["entries"]:
        assert list(entry)[: len(KEYS)] == KEYS
        assert list(entry["unscored"]) == ["too_few_positives", "too_few_negatives", "judge"]
        assert list(entry["baselines"])[:3] == ["always_yes_f1", "always_no_accuracy", "coin_f1"]
        assert list(entry["f1"]) == ["mean", "lo", "hi", "n"]
    assert stored["entries"][0]["f1_lenient"] is None


def test_round_trip_keeps_keys_of_later_releases(summary: dict, tmp_path: Path):
    path = tmp_path / "summary.json"
    later = json.loads(json.dumps(summary)) | {"added": 1}
    later["entries"][0]["also_added"] = [1, 2]
    write_summary(path, later)
    assert read_summary(path) == later


def test_a_nan_is_a_bug(summary: dict, tmp_path: Path):
    with pytest.raises(ValueError, match="Out of range"):
        write_summary(tmp_path / "summary.json", {**summary, "about": {"loss": float("nan")}})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.update(schema_version=2), "schema_version 2, this release reads 1"),
        (lambda s: s.pop("schema_version"), "schema_version None"),
        (lambda s: s.update(entries={}), "entries: Input should be a valid list"),
        (lambda s: s["entries"][1].pop("baselines"), r"entries\[1\] lacks the key 'baselines'"),
        (lambda s: s["entries"][0].update(f1=0.7), r"entries\[0\]\.f1: Input should be"),
    ],
)
def test_foreign_and_broken_files_name_what_is_wrong(summary: dict, tmp_path: Path, change, message: str):
    path = tmp_path / "summary.json"
    broken = json.loads(json.dumps(summary))
    change(broken)
    path.write_text(json.dumps(broken))
    with pytest.raises(ArtefactError, match=message) as caught:
        read_summary(path)
    assert str(path) in str(caught.value)


def test_missing_and_truncated_files(summary: dict, tmp_path: Path):
    path = tmp_path / "summary.json"
    with pytest.raises(ArtefactError, match="does not exist"):
        read_summary(path)
    for text in (json.dumps(summary)[:-40], "[]", ""):
        path.write_text(text)
        with pytest.raises(ArtefactError, match=r"summary\.json"):
            read_summary(path)
