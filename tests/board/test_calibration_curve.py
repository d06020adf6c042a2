"""The calibration curve of an entry is that of all its features' windows together."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from autointerp.board.entries import build_entries
from autointerp.board.score_row import SCORE_SCHEMA, score_feature
from autointerp.records.verdict import Explanation, Verdict
from autointerp.score.scorer import Scale
from autointerp.stats.calibration import calibration_curve, calibration_error
from tests.score.planted import fires_on, make_evidence

RNG = np.random.default_rng(11)
EVIDENCES = [make_evidence(fires_on(" return"), feature=number, n_documents=120) for number in range(3)]


def verdicts_of(feature: int, probabilities: dict[str, float]) -> list[Verdict]:
    windows = EVIDENCES[feature].select("score", "top", "random")
    return [
        Verdict("d", feature, "e", "s", "j", "h", None, w.id, w.kind, w.is_firing, "fires", probabilities.get(w.id))
        for w in windows
    ]


def frame(rows: list[dict[str, object]]) -> pd.DataFrame:
    keyed = [{"explainer": "e", "scorer": "s", "judge": "j", "prompt_hash": "h", **row} for row in rows]
    return pa.Table.from_pylist(keyed, schema=SCORE_SCHEMA).to_pandas()


def test_features_are_pooled() -> None:
    rows, truths, said = [], [], []
    for number, evidence in enumerate(EVIDENCES):
        known = {w.id: float(RNG.uniform()) for w in evidence.select("score", "top", "random")}
        verdicts = verdicts_of(number, known)
        truths += [v.is_firing for v in verdicts]
        said += [known[v.window] for v in verdicts]
        told = Explanation("planted", number, "e", "j", "h", "text")
        rows.append(score_feature(evidence, told, verdicts, scale=Scale(), borrowed={}))
    (entry,) = build_entries(frame(rows), seed=0)
    wanted = calibration_curve(truths, said)
    assert [b["n"] for b in entry["calibration"]] == [b.n for b in wanted]
    for found, bin_ in zip(entry["calibration"], wanted, strict=True):
        assert (found["mean_probability"], found["firing_frac"]) == pytest.approx(
            (bin_.mean_probability, bin_.firing_frac)
        )
    assert entry["calibration_error"] == pytest.approx(calibration_error(truths, said))


def test_without_probabilities_there_is_no_curve() -> None:
    told = Explanation("planted", 0, "e", "j", "h", "text")
    row = score_feature(EVIDENCES[0], told, verdicts_of(0, {}), scale=Scale(), borrowed={})
    (entry,) = build_entries(frame([row]), seed=0)
    assert (entry["calibration"], entry["calibration_error"]) == ([], None)
