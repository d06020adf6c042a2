"""Every study runs, in miniature, from cells to figure; what it says of the paper's size can be said of its rows."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from autointerp.errors import ConfigError
from autointerp.progress import SilentProgress
from synthetic_studies.registry import STUDIES, open_study
from synthetic_studies.runner import choose_settings, run_study

MINIATURE: dict[str, dict[str, Any]] = {
    "known-codes": {"n_steps": 10, "widest_hidden": 32},
    "known-dictionary": {"n_steps": 10},
    "unknown": {"n_steps": 16, "n_inference_steps": 5, "n_chains": 1},
    "amortisation-gap": {"n_steps": 5, "n_features_values": (16, 24), "n_starts": 1},
    "regimes": {
        "n_seeds": 1,
        "n_steps": 5,
        "n_log_code_steps": 5,
        "n_inference_steps": 5,
        "n_chains": 1,
        "d_in_values": (8,),
        "n_features_values": (16, 32),
    },
    "pareto": {"n_steps": 5, "n_inference_steps": 5, "n_chains": 1, "l1_weights": (0.01, 0.5)},
    "widths": {"n_steps": 5, "widest_hidden": 32},
    "bias": {"n_steps": 5},
    "topk-coding": {"n_steps": 5, "n_log_code_steps": 5, "n_inference_steps": 5, "n_chains": 1, "k_values": (1, 3)},
    "decoder-weights": {"n_steps": 5, "n_chains": 1, "n_features_values": (4, 8)},
    "lars": {"sizes": ((16, 8),), "max_fit_steps": 1, "n_chains": 1},
    "modern": {"n_seeds": 1, "n_steps": 3, "n_inference_steps": 5, "n_chains": 1},
    "phase": {"n_features_values": (32,), "k_values": (2, 3), "ratios": (1.0, 2.0, 4.0)},
}


def test_every_study_has_a_miniature() -> None:
    assert set(MINIATURE) == set(STUDIES)


LONG = ("modern", "lars")
"""Every encoder, and a search over sizes: the others show that a study runs."""


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.full if n in LONG else ()) for n in STUDIES])
def test_a_study_in_miniature(name: str, tmp_path: Path) -> None:
    study = open_study(name)
    assert study.name == name
    settings = choose_settings(study, preset="full", overrides={"n_seeds": 2, "n_samples": 48} | MINIATURE[name])
    cells = study.cells(settings)
    assert len({cell.key for cell in cells}) == len(cells)
    result = run_study(
        study,
        settings,
        preset="full",
        folder=tmp_path,
        command=f"autointerp synth {name}",
        is_fresh=False,
        progress=SilentProgress(),
    )
    assert result.n_rows >= len(cells)
    text = (tmp_path / f"{name}.md").read_text()
    assert study.title in text and "## What it shows" in text and "nan" not in text
    assert (tmp_path / f"{name}.png").stat().st_size > 10_000
    for comparison in study.comparisons([], settings) if name in {"widths", "regimes"} else ():
        assert math.isfinite(comparison.published)


def test_an_unknown_study_lists_what_exists_and_the_near_miss() -> None:
    with pytest.raises(
        ConfigError, match=r"unknown study 'regime'; did you mean 'regimes'\? the studies are known-codes"
    ):
        open_study("regime")
