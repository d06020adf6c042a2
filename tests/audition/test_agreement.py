"""Agreement between judges of runs of the same evidence, against computations from first principles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autointerp.audition.agreement import _alpha, _coincidences, _table, judges_agree, render_agreements
from autointerp.errors import ArtefactError, ConfigError
from autointerp.records.evidence_file import write_evidence
from autointerp.records.planted import plant_evidence
from autointerp.records.verdict import Explanation, Verdict
from autointerp.runs.journal import open_journal
from autointerp.runs.layout import RunLayout
from autointerp.stats.agreement import krippendorff_alpha

N_FEATURES, N_WINDOWS = 12, 10


def verdict(feature: int, window: int, answer: Any, **changes: Any) -> Verdict:
    made = Verdict(
        dictionary="planted",
        feature=feature,
        explainer="windows",
        scorer="detection",
        judge="judge",
        prompt_hash="h",
        control=None,
        window=f"w{window}",
        kind="top" if window % 2 else "random",
        is_firing=bool(window % 2),
        answer=answer,
    )
    return replace(made, **changes)


def run(
    folder: Path, answers: np.ndarray, *, judge: str, texts: Sequence[str] = (), evidence: int = 2, **changes: Any
) -> Path:
    """A run with one answer per feature and window: 1, 0, or -1 for one that could not be read."""
    layout = RunLayout(folder)
    write_evidence(layout.evidence_file("planted"), [plant_evidence(i) for i in range(evidence)])
    names = {1: "fires", 0: "silent", -1: "unparsed"}
    with open_journal(layout.journal) as journal:
        journal.save_explanations(
            Explanation("planted", feature, "windows", "x", "h", texts[feature] if texts else "text")
            for feature in range(len(answers))
        )
        own = [
            verdict(feature, window, names[int(answers[feature, window])], judge=judge, **changes)
            for feature in range(len(answers))
            for window in range(answers.shape[1])
        ]
        # controls are told something else and are no part of it
        journal.save_verdicts([*own, *(replace(v, control="shuffled", answer="fires") for v in own)])
    return folder


@pytest.fixture
def answers() -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 2, size=(N_FEATURES, N_WINDOWS))
    return [np.where(rng.random(truth.shape) < 0.85, truth, 1 - truth) for _ in range(3)]


def test_three_judges_agree_as_far_as_they_do(tmp_path: Path, answers: list[np.ndarray]) -> None:
    runs = [run(tmp_path / name, a, judge=name) for name, a in zip("abc", answers, strict=True)]
    (found,) = judges_agree(runs)
    flat = [a.ravel() for a in answers]
    assert found.alpha is not None
    assert found.alpha.mean == pytest.approx(krippendorff_alpha(zip(*(a.tolist() for a in flat), strict=True)))
    assert found.alpha.lo < found.alpha.mean < found.alpha.hi
    assert (found.judges, found.n_features, found.n_windows) == (("a", "b", "c"), N_FEATURES, N_FEATURES * N_WINDOWS)
    assert [(pair.first, pair.second) for pair in found.pairs] == [("a", "b"), ("a", "c"), ("b", "c")]
    pair = found.pairs[1]
    agreement = float(np.mean(flat[0] == flat[2]))
    ones = [float(np.mean(a)) for a in (flat[0], flat[2])]
    chance = ones[0] * ones[1] + (1 - ones[0]) * (1 - ones[1])
    assert pair.agreement is not None
    assert pair.kappa is not None
    assert pair.agreement.mean == pytest.approx(agreement)
    assert pair.kappa.mean == pytest.approx((agreement - chance) / (1 - chance))
    text = render_agreements([found])
    assert f"alpha {found.alpha.mean:.3f}" in text
    assert "a and c: alike" in text


def test_a_judge_agrees_with_itself_and_not_with_its_opposite(tmp_path: Path, answers: list[np.ndarray]) -> None:
    a, b, c = (run(tmp_path / n, x, judge=n) for n, x in (("a", answers[0]), ("b", answers[0]), ("c", 1 - answers[0])))
    (same,), (other,) = judges_agree([a, b]), judges_agree([a, c])
    assert same.alpha is not None
    assert same.alpha.mean == same.alpha.lo == 1.0
    assert other.alpha is not None
    assert other.alpha.hi < -0.8


def test_answers_that_cannot_be_read_are_passed_over(tmp_path: Path, answers: list[np.ndarray]) -> None:
    lost = answers[0].copy()
    lost[:, :4] = -1
    a, b = run(tmp_path / "a", answers[0], judge="a"), run(tmp_path / "b", lost, judge="b")
    (found,) = judges_agree([a, b])
    assert found.alpha is not None
    assert found.alpha.mean == 1.0
    assert found.pairs[0].n_windows == N_FEATURES * (N_WINDOWS - 4)


def test_features_told_something_else_are_left_out(tmp_path: Path, answers: list[np.ndarray]) -> None:
    texts = ["other" if feature < 5 else "text" for feature in range(N_FEATURES)]
    a = run(tmp_path / "a", answers[0], judge="a")
    b = run(tmp_path / "b", answers[1], judge="b", texts=texts)
    (found,) = judges_agree([a, b])
    assert (found.n_features, found.n_left_out) == (N_FEATURES - 5, 5)
    assert "5 left out" in render_agreements([found])
    c = run(tmp_path / "c", answers[1], judge="c", texts=["other"] * N_FEATURES)
    with pytest.raises(ArtefactError, match=r"share no window with the same explanation; rescore"):
        judges_agree([a, c])


def test_runs_of_the_same_judge_are_told_apart_by_their_folders(tmp_path: Path, answers: list[np.ndarray]) -> None:
    a, b = (run(tmp_path / name, x, judge="same") for name, x in zip("ab", answers, strict=False))
    (found,) = judges_agree([a, b])
    assert found.judges == (f"same in {a}", f"same in {b}")


def test_what_cannot_be_compared_is_told(tmp_path: Path, answers: list[np.ndarray]) -> None:
    a = run(tmp_path / "a", answers[0], judge="a")
    with pytest.raises(ConfigError, match="two runs at least"):
        judges_agree([a])
    with pytest.raises(ArtefactError, match=r"is not the evidence of .*; make one run from the other"):
        judges_agree([a, run(tmp_path / "b", answers[1], judge="b", evidence=3)])
    with pytest.raises(ArtefactError, match="share no scorer"):
        judges_agree([a, run(tmp_path / "c", answers[1], judge="c", scorer="marked")])
    with pytest.raises(ArtefactError, match="no such directory"):
        judges_agree([tmp_path / "nothing", a])


UNITS = st.lists(st.tuples(*[st.sampled_from([0, 1, None])] * 3), min_size=1, max_size=30)


@given(UNITS)
@settings(deadline=None)
def test_alpha_from_sums_is_krippendorffs(units: list[tuple[int | None, ...]]) -> None:
    half = len(units) // 2
    sums = np.array(_coincidences(units[:half])) + np.array(_coincidences(units[half:]))
    expected = krippendorff_alpha(units)
    found = _alpha(sums)
    assert found is None if expected is None else found == pytest.approx(expected)


@given(UNITS)
@settings(deadline=None)
def test_a_table_counts_windows_both_answered(units: list[tuple[int | None, ...]]) -> None:
    both = [(unit[0], unit[2]) for unit in units if unit[0] is not None and unit[2] is not None]
    cells = (both.count((1, 1)), both.count((1, 0)), both.count((0, 1)), both.count((0, 0)))
    assert _table(units, 0, 2) == cells
