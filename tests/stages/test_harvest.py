"""What the harvest stage asks of a feature, from what the scorers need."""

from __future__ import annotations

from typing import Any

import pytest

from autointerp.config.loading import load_config, parse_config
from autointerp.harvest.evidence import Need
from autointerp.score.presets import apply_preset
from autointerp.stages.harvest import needs_of


@pytest.mark.parametrize(
    ("scorers", "need"),
    [
        ([{"name": "detection"}], Need(5, 5)),
        ([{"name": "detection", "n_positive": 3, "n_negative": 2}], Need(3, 2)),
        ([{"name": "detection"}, {"name": "marked", "n_positive": 2, "n_negative": 9}], Need(2, 5)),
        ([{"name": "marked", "negatives": "other_feature"}], Need(5, 0)),
    ],
)
def test_a_feature_needs_what_the_least_demanding_scorer_takes(scorers: list[dict[str, Any]], need: Need) -> None:
    config = parse_config({"dictionaries": [{"name": "a", "kind": "topk"}], "score": {"scorers": scorers}})
    assert needs_of(config) == {"explain": Need(1, 0), "score": need}


def test_the_papers_preset_needs_no_silent_windows_of_its_own() -> None:
    assert needs_of(apply_preset(load_config("oneill2024_gpt2_l9")))["score"] == Need(5, 0)
