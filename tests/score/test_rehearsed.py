"""Every scorer can be planned: over made-up evidence of the usual size it asks what a run would ask."""

from __future__ import annotations

import pytest

from autointerp.config.asking import ScorerConfig
from autointerp.config.loading import parse_config
from autointerp.config.tree import Config
from autointerp.planning import make_plan
from autointerp.rehearsal import rehearse_scoring, window_tokens
from autointerp.score.scorer import Unscorable


def config_of(**settings: object) -> Config:
    return parse_config(
        {
            "dictionaries": [{"name": "sae", "kind": "relu", "n_features": 64}],
            "harvest": {"n_features": 10},
            "controls": {"shuffled": 0.0},
            "score": {"scorers": [settings]},
        }
    )


def n_requests(**settings: object) -> int:
    config = config_of(**settings)
    found = rehearse_scoring(config, config.score.scorers[0], explanation_tokens=30)
    assert not isinstance(found, Unscorable), found
    return len(found)


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        ({"name": "fuzzing"}, 4),
        ({"name": "recall", "n_near_miss": 0}, 4),
        ({"name": "logit_weights"}, 4),
        ({"name": "simulation"}, 40),
        ({"name": "pattern_tokens", "n_positive": 5, "n_negative": 5}, 10),
        (
            {"name": "simulation", "at_once": False, "n_positive": 5, "n_negative": 5},
            10 * window_tokens(config_of(name="recall").harvest),
        ),
    ],
)
def test_requests_per_feature(settings: dict[str, object], wanted: int) -> None:
    assert n_requests(**settings) == wanted


def test_a_plan_counts_them_and_the_tokens_of_lists() -> None:
    at_once, single = (make_plan(config_of(name="simulation", at_once=value)) for value in (True, False))
    stages = [next(stage for stage in plan.stages if stage.scorer == "simulation") for plan in (at_once, single)]
    n_once, n_single = (stage.n_requests or 0 for stage in stages)
    assert n_once >= 10 * 40
    assert n_single == n_once * at_once.window_tokens
    assert (stages[0].output_tokens or 0) > n_once * 2 * at_once.window_tokens


def test_a_scorer_that_has_too_few_entries_says_what_to_set() -> None:
    config = parse_config(
        {
            "dictionaries": [{"name": "sae", "kind": "relu", "n_features": 64}],
            "harvest": {"n_logits": 10},
            "score": {"scorers": [{"name": "logit_weights"}]},
        }
    )
    found = rehearse_scoring(config, ScorerConfig(name="logit_weights"), explanation_tokens=30)
    assert isinstance(found, Unscorable)
    assert "harvest.n_logits" in found.detail
