"""A finished study is read without a change; one that is not finished says what finishes it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from autointerp.errors import ConfigError
from autointerp.progress import SilentProgress
from synthetic_studies.phase import STUDY, PhaseSettings
from synthetic_studies.runner import read_study, run_study


def test_a_finished_study_is_read_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = PhaseSettings(n_seeds=1, n_samples=20, n_features_values=(32,), k_values=(2, 3), ratios=(1.0, 2.0, 4.0))
    monkeypatch.setattr(type(STUDY), "full", small)
    result = run_study(
        STUDY, small, preset="full", folder=tmp_path, command="", is_fresh=False, progress=SilentProgress()
    )
    path = tmp_path / "cells.jsonl"
    before = path.read_bytes()
    assert read_study(STUDY, folder=tmp_path) == result.rows
    assert path.read_bytes() == before
    path.write_bytes(b"".join(before.splitlines(keepends=True)[:-1]))
    with pytest.raises(ConfigError, match=r"lacks 1 of 2 cells, such as 'N=32, K=3'; `autointerp synth phase"):
        read_study(STUDY, folder=tmp_path)
    monkeypatch.setattr(type(STUDY), "full", replace(small, n_seeds=2))
    with pytest.raises(ConfigError, match="holds a study of other settings: n_seeds"):
        read_study(STUDY, folder=tmp_path)
