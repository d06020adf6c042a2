"""A component's settings: those it declares are read, those it does not know or use are refused in one line."""

from __future__ import annotations

from functools import partial

import pytest

from autointerp.builtin_plugins import BUILTIN
from autointerp.config.asking import (
    ExplainConfig,
    ExplainerConfig,
    ExplainerEntry,
    ScoreConfig,
    ScorerConfig,
    ScorerEntry,
)
from autointerp.config.own_settings import declared_settings
from autointerp.errors import ConfigError
from autointerp.explain.opening import check_explainer_settings, open_explainer
from autointerp.plugins import load_plugin
from autointerp.score.opening import check_scorer_settings, open_scorer, scorer_settings


class _Own(ScorerConfig):
    n_before: int = 3


def _annotated(settings: _Own, score: ScoreConfig) -> None: ...


def _plain(settings: ScorerConfig, score: ScoreConfig) -> None: ...


class _Made:
    def __init__(self, settings: _Own, score: ScoreConfig) -> None: ...


@pytest.mark.parametrize(
    ("factory", "declared"),
    [
        (_annotated, _Own),
        (_Made, _Own),
        (_plain, ScorerConfig),
        (lambda settings, score: None, ScorerConfig),
        (partial(_plain), ScorerConfig),
    ],
)
def test_a_factory_declares_its_settings_by_annotation(factory, declared: type) -> None:
    assert declared_settings(factory, ScorerConfig) is declared


def test_settings_of_its_own_are_read_beside_those_that_all_have() -> None:
    found = scorer_settings(ScorerEntry.model_validate({"name": "intruder", "n_trials": 3, "sampling": "top"}))
    assert found.model_dump(include={"n_trials", "sampling", "marks"}) == {
        "n_trials": 3,
        "sampling": "top",
        "marks": False,
    }


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"name": "detection", "n_trials": 3}, "unknown key 'score.scorers.detection.n_trials'"),
        ({"name": "intruder", "n_trails": 3}, "did you mean 'n_trials'?"),
        ({"name": "intruder", "n_trials": 0}, "score.scorers.intruder.n_trials = 0: Input should be greater than 0"),
        ({"name": "simulation", "label": "mine", "at_once": "how"}, "score.scorers.mine.at_once = 'how'"),
    ],
)
def test_a_wrong_setting_of_a_scorer_is_one_line(entry: dict, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        open_scorer(ScorerEntry.model_validate(entry), ScoreConfig())
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("entry", "key"),
    [
        ({"name": "recall", "sampling": "top"}, "sampling = 'top'"),
        ({"name": "simulation", "windows_per_request": 3}, "windows_per_request = '3'"),
        ({"name": "intruder", "heading": "macro_f1"}, "heading = 'macro_f1'"),
        ({"name": "fuzzing", "negatives": {"random": 3}}, "negatives = "),
    ],
)
def test_a_setting_that_a_scorer_does_not_use_is_refused_where_it_says_something(entry: dict, key: str) -> None:
    with pytest.raises(ConfigError, match="remove it") as caught:
        check_scorer_settings(ScorerEntry.model_validate(entry))
    assert f"score.scorers.{entry['name']}: '{entry['name']}' has no use for {key}" in str(caught.value)


def test_a_default_and_a_count_of_none_say_nothing() -> None:
    check_scorer_settings(ScorerEntry(name="simulation", n_near_miss=0, windows_per_request=10))
    check_explainer_settings(ExplainerEntry(name="logits", n_windows=10))
    with pytest.raises(ConfigError, match="'logits' has no use for n_windows = '5'"):
        check_explainer_settings(ExplainerEntry(name="logits", n_windows=5))


def test_best_of_hands_on_what_is_not_its_own() -> None:
    entry = {"name": "best_of", "candidates_of": "contrastive", "n_candidates": 2, "n_silent": 4}
    open_explainer(ExplainerEntry.model_validate(entry), ExplainConfig())
    with pytest.raises(ConfigError, match=r"unknown key 'explain\.explainers\.windows\.n_silent'"):
        open_explainer(ExplainerEntry.model_validate(entry | {"candidates_of": "windows"}), ExplainConfig())


@pytest.mark.parametrize(
    ("group", "common"), [("autointerp.scorers", ScorerConfig), ("autointerp.explainers", ExplainerConfig)]
)
def test_what_built_in_components_use_is_there(group: str, common: type) -> None:
    for name in BUILTIN[group]:
        assert declared_settings(load_plugin(group, name), common).uses <= common.uses
