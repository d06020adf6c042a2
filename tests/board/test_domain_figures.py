"""What a text is about is held constant: a judge who knows the domain alone has nothing left within it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from autointerp.board.scores import build_scores
from autointerp.records.evidence import Evidence
from autointerp.records.planted import plant_evidence
from autointerp.records.verdict import Explanation
from autointerp.records.window import Window
from tests.board.synthetic import verdict_of

N = 8


def planted() -> Evidence:
    """Firing windows in code, random silent ones in prose, silent ones of the same documents in code."""
    base = plant_evidence()
    windows: list[Window] = []
    for role in ("explain", "score"):
        firing, silent = base.select(role, "top")[0], base.select(role, "random")[0]
        for i in range(N):
            windows.append(replace(firing, id=f"{role}-f{i}", document=f"code/{role}{i}"))
            windows.append(replace(silent, id=f"{role}-r{i}", document=f"prose/{role}{i}"))
            if role == "score":
                same = replace(silent, id=f"{role}-s{i}", document=f"code/{role}{i}", kind="same_document")
                windows.append(same)
    return replace(base, windows=tuple(windows))


def scored(evidence: Evidence, calls: Callable[[Window], bool]) -> dict[str, Any]:
    """The scores where the own explanation is answered so, and another feature's never with a call."""
    verdicts = [
        verdict_of(evidence, window, "fires" if control is None and calls(window) else "silent", control=control)
        for control in (None, "shuffled")
        for window in evidence.select("score")
    ]
    explanation = Explanation(evidence.dictionary, evidence.feature, "windows", "scripted", "p", "text")
    return build_scores([evidence], [explanation], verdicts).iloc[0].to_dict()


def test_a_domain_detector_falls_to_nothing_within_its_domain() -> None:
    row = scored(planted(), lambda window: window.document.startswith("code/"))
    assert row["excess"] == pytest.approx(0.25)
    assert row["within_domain"] == pytest.approx(0.5)
    assert row["excess_within_domain"] == pytest.approx(0.0)
    assert row["lookup_domain"] == row["balanced_accuracy"]
    assert row["beyond_domain"] == pytest.approx(0.0)


def test_who_reads_the_window_keeps_all_of_it() -> None:
    row = scored(planted(), lambda window: window.is_firing)
    assert row["excess"] == pytest.approx(0.5)
    assert row["excess_within_domain"] == pytest.approx(0.5)
    assert row["beyond_domain"] == pytest.approx(0.25)


def test_there_is_nothing_within_a_domain_where_no_window_is_of_it() -> None:
    evidence = planted()
    windows = tuple(w for w in evidence.windows if w.kind != "same_document")
    row = scored(replace(evidence, windows=windows), lambda window: window.is_firing)
    assert row["within_domain"] is None or row["within_domain"] != row["within_domain"]
    assert row["lookup_domain"] == pytest.approx(1.0)
