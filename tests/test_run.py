"""A run read through its one door: records, tables, one feature, the board; and what is missing said in a line."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from autointerp import Run, pipeline
from autointerp.errors import ArtefactError, ConfigError
from autointerp.runs.journal import open_journal
from tests.stages.harvested import DICTIONARIES, FEATURES, make_config, make_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    root = tmp_path_factory.mktemp("run") / "finished"
    config = make_config("explain.judge='pattern'", "score.judge='pattern'")
    make_run(root, config)
    pipeline.run(config, out=root)
    return Run(root)


def test_the_tables_are_those_of_the_run(run: Run) -> None:
    n_features = len(FEATURES) + 1
    assert run.stages == {"train", "harvest", "explain", "score", "report"}
    assert [entry.name for entry in run.config.dictionaries] == list(DICTIONARIES)
    assert len(run.evidence("sae")) == n_features
    assert len(run.evidence()) == 2 * n_features
    assert len(run.explanations) == 2 * n_features
    assert set(run.scores.scorer) == {"marked", "detection"}
    own = run.verdicts[run.verdicts.control.isna()]
    assert set(own.answer) == {"fires", "silent"}
    assert [entry["n_scored"] for entry in run.summary["entries"]] == [len(FEATURES)] * 4


def test_one_feature_has_its_windows_effects_explanations_verdicts_and_scores(run: Run) -> None:
    feature = run.feature(f"sae/{FEATURES[2]}")
    assert feature.evidence in run.evidence("sae")
    assert feature.windows.max_activation.is_monotonic_decreasing
    assert len(feature.windows) == len(feature.evidence.windows)
    assert list(feature.logit_effects.columns) == ["token", "logit"]
    for table in (feature.explanations, feature.verdicts, feature.scores):
        assert set(table.dictionary) == {"sae"}
        assert set(table.feature) == {FEATURES[2]}
    shown = str(feature)
    assert shown.startswith(f"sae/{FEATURES[2]} at ")
    assert feature.explanations.text[0] in shown


def test_the_leaderboard_is_a_frame_that_prints(run: Run) -> None:
    board = run.leaderboard
    detection = board[board.scorer == "detection"]
    assert set(detection.index) == set(DICTIONARIES)
    means = {e["dictionary"]: e["f1"]["mean"] for e in run.summary["entries"] if e["scorer"] == "detection"}
    assert detection.f1.to_dict() == {name: round(mean, 3) for name, mean in means.items()}
    assert board.attrs == {"explainer": "windows", "judge": "pattern", "chance": pytest.approx(2 / 3)}
    assert board.f1_cut.notna().all()
    alone = detection.drop(columns="scorer")
    assert "..." not in str(alone)
    assert str(run).splitlines()[0].startswith("scorer detection")


def test_a_notebook_shows_the_board_and_a_feature(run: Run) -> None:
    board, feature = run._repr_html_(), run.feature(f"sae/{FEATURES[2]}")
    assert board is not None
    assert "judge pattern" in board
    assert board.count("<tr") == 1 + len(run.leaderboard)
    assert feature._repr_html_().count("<code>") == min(10, len(feature.windows))


def test_a_run_is_read_and_never_written(run: Run) -> None:
    before = {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}
    _ = run.explanations, run.verdicts, run.leaderboard, run.feature(f"sae/{FEATURES[0]}"), str(run)
    assert {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()} == before


def test_a_run_that_has_only_evidence_says_what_is_missing(tmp_path: Path) -> None:
    layout = make_run(tmp_path / "begun", make_config())
    begun = Run(str(layout.root))
    assert str(begun) == f"Run('{layout.root}'): harvest, train done"
    feature = begun.feature(f"sae/{FEATURES[0]}")
    assert [len(table) for table in (feature.explanations, feature.verdicts, feature.scores)] == [0, 0, 0]
    assert str(feature)
    for read in (lambda: begun.explanations, lambda: begun.scores, lambda: begun.leaderboard):
        with pytest.raises(ArtefactError, match="does not exist"):
            read()


def test_a_board_alone_can_be_read(run: Run, tmp_path: Path) -> None:
    """Published results are a summary without its run."""
    (tmp_path / "summary.json").write_bytes(run.layout.summary.read_bytes())
    pd.testing.assert_frame_equal(Run(tmp_path).leaderboard, run.leaderboard)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("sae", "give DICTIONARY/INDEX, for example 'sae/12'"),
        ("sae/x", "give DICTIONARY/INDEX"),
        ("tae/3", "has no dictionary 'tae'; it has neurons, sae"),
        ("sae/4", "not among the 8 sampled features of 'sae'; nearest are 3, 10, 17, 24, 31"),
    ],
)
def test_a_wrong_feature_is_one_line(run: Run, name: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        run.feature(name)


def test_a_place_without_a_run_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match="no such directory"):
        Run(tmp_path / "typo")
    with pytest.raises(ArtefactError, match="is no run"):
        _ = Run(tmp_path).stages


def test_a_damaged_journal_is_not_read(run: Run, tmp_path: Path) -> None:
    layout = make_run(tmp_path / "damaged", make_config())
    with open_journal(layout.journal) as journal, run.open_journal() as whole:
        journal.save_verdicts(whole.load_verdicts())
    content = bytearray(layout.journal.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 4096] = b"\xff" * 4096
    layout.journal.write_bytes(bytes(content))
    with pytest.raises(ArtefactError, match="damaged"):
        _ = Run(layout.root).verdicts
