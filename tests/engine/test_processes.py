"""A process for each processor explains and scores where that pays and the config leaves it open."""

from __future__ import annotations

import os

import pytest

from autointerp import pipeline
from tests.stages.harvested import make_config

MANY = "harvest.n_features=1000"


@pytest.mark.parametrize(
    ("stage", "overrides", "n_wanted"),
    [
        ("score", [MANY], 4),
        ("explain", [MANY], 4),
        ("score", ["harvest.n_features='all'"], 4),
        ("score", ["harvest.n_features=300"], 2),
        ("score", ["harvest.n_features=100"], None),
        ("harvest", [MANY], None),
        ("score", [MANY, "engine.workers=1"], None),
        ("score", [MANY, "score.judge='coin'"], None),
    ],
)
def test_as_many_as_pay(
    stage: str, overrides: list[str], n_wanted: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3}, raising=False)
    config = make_config("explain.judge='pattern'", "score.judge='pattern'", *overrides)
    assert len(config.every_dictionary) == 2
    with pipeline._processes(stage, config) as engine:
        assert (None if engine is None else engine.n_workers) == n_wanted
