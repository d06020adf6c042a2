from __future__ import annotations

import tomllib
from typing import Any, get_args

import pytest

from autointerp.config.asking import Preset
from autointerp.config.loading import keep_dictionaries, parse_config, render_config
from autointerp.config.tree import Config
from autointerp.errors import ConfigError
from autointerp.rehearsal import rehearse_explaining, rehearse_scoring, window_tokens
from autointerp.score.opening import check_scorer_settings
from autointerp.score.presets import apply_preset
from autointerp.score.scorer import Unscorable


def config_of(**sections: Any) -> Config:
    return parse_config({"dictionaries": [{"name": "sae", "kind": "relu"}], **sections})


def test_without_a_preset_nothing_changes() -> None:
    config = config_of(explain={"prompts": 2})
    assert apply_preset(config) is config


def test_oneill2024_is_the_papers_protocol() -> None:
    config = apply_preset(config_of(score={"preset": "oneill2024"}))
    assert config.score.scorers[0].heading == "macro_f1"
    (scorer,) = config.score.scorers
    assert (scorer.name, scorer.n_positive, scorer.n_negative, scorer.n_near_miss) == ("marked", 5, 5, 0)
    assert (scorer.sampling, scorer.negatives) == ("top", "other_feature")
    harvest = config.harvest
    assert (harvest.window_left, harvest.window_right, harvest.fixed_position, harvest.n_logits) == (30, 5, True, 10)
    (explainer,) = config.explain.explainers
    assert (explainer.name, explainer.n_windows, explainer.sampling) == ("windows", 5, "top")


def test_what_the_config_says_itself_is_kept() -> None:
    scorers = [{"name": "marked", "n_positive": 5, "n_negative": 5, "negatives": "random"}]
    config = apply_preset(config_of(score={"preset": "oneill2024", "scorers": scorers}, harvest={"window_left": 3}))
    assert config.score.scorers[0].negatives == "random"
    assert (config.harvest.window_left, config.harvest.window_right) == (3, 5)


def test_bills2023_is_the_papers_protocol() -> None:
    config = apply_preset(config_of(score={"preset": "bills2023"}))
    (scorer,), (explainer,) = config.score.scorers, config.explain.explainers
    assert (scorer.name, scorer.n_positive, scorer.n_negative, scorer.sampling) == ("simulation", 5, 5, "top")
    assert (explainer.name, explainer.n_windows, explainer.sampling) == ("token_pairs", 5, "top")
    assert window_tokens(config.harvest) == 64


def test_the_random_fragments_of_cunningham2023_hold_a_firing() -> None:
    config = apply_preset(config_of(score={"preset": "cunningham2023"}))
    (scorer,) = config.score.scorers
    assert (scorer.name, scorer.n_positive, scorer.n_negative) == ("simulation", 10, 0)
    assert scorer.sampling == "top_random"
    assert config.harvest.n_drawn == 10
    assert config.explain == apply_preset(config_of(score={"preset": "bills2023"})).explain
    check_scorer_settings(scorer)


def test_a_score_of_firing_against_silent_needs_silent_windows() -> None:
    (scorer,) = config_of(score={"scorers": [{"name": "detection", "n_negative": 0}]}).score.scorers
    with pytest.raises(ConfigError, match="n_negative = 0, but it tells firing from silent"):
        check_scorer_settings(scorer)


def test_delphi_is_its_defaults() -> None:
    config = apply_preset(config_of(score={"preset": "delphi"}))
    assert [scorer.name for scorer in config.score.scorers] == ["fuzzing", "detection"]
    for scorer in config.score.scorers:
        assert (scorer.n_positive, scorer.n_negative, scorer.n_near_miss) == (50, 50, 0)
        assert (scorer.sampling, scorer.windows_per_request) == ("quantile", 5)
    (explainer,) = config.explain.explainers
    assert (explainer.n_windows, explainer.sampling) == (40, "quantile")
    assert (window_tokens(config.harvest), config.harvest.min_firing) == (32, 200)
    assert config.harvest.n_drawn == 100, "fuzzing marks 50 windows rightly and 50 others wrongly"
    assert config.harvest.n_random >= 50


def test_saebench_is_one_question_about_four_and_ten() -> None:
    config = apply_preset(config_of(score={"preset": "saebench"}))
    (scorer,) = config.score.scorers
    assert (scorer.name, scorer.n_positive, scorer.n_negative, scorer.windows_per_request) == ("detection", 4, 10, 14)
    assert (config.harvest.window_left, config.harvest.window_right, config.harvest.fixed_position) == (10, 10, True)
    assert config.explain.explainers[0].n_windows == 15


def test_default_is_what_the_sections_say_by_themselves() -> None:
    plain, named = apply_preset(config_of()), apply_preset(config_of(score={"preset": "default"}))
    assert named.model_copy(update={"score": named.score.model_copy(update={"preset": None})}) == plain


@pytest.mark.parametrize("name", get_args(Preset))
def test_every_preset_can_be_asked_and_resolved_again(name: Preset) -> None:
    config = apply_preset(config_of(score={"preset": name}))
    again = apply_preset(parse_config(tomllib.loads(render_config(config))))
    assert again == config
    for settings in config.score.scorers:
        requests = rehearse_scoring(config, settings, explanation_tokens=20)
        assert not isinstance(requests, Unscorable), requests
        assert requests
    for settings in config.explain.explainers:
        assert rehearse_explaining(config, settings)


@pytest.mark.parametrize("name", get_args(Preset))
def test_a_run_read_back_from_its_config_has_its_preset_still(name: Preset) -> None:
    config = config_of(score={"preset": name, "max_tokens": 77}, harvest={"n_top": 13})
    kept = parse_config(tomllib.loads(render_config(config)))
    assert kept == config
    assert apply_preset(kept) == apply_preset(config)
    some = keep_dictionaries(config, [config.dictionaries[0].name])
    assert apply_preset(some).score == apply_preset(config).score


def test_samplers_and_kinds_are_kept_windows_for() -> None:
    scorers = [
        {"name": "detection", "n_positive": 12, "sampling": "importance", "negatives": {"random": 9, "neighbour": 4}}
    ]
    config = apply_preset(config_of(score={"scorers": scorers}))
    assert (config.harvest.n_drawn, config.harvest.n_neighbour) == (21, 4)
    assert apply_preset(config) is config
    fixed = apply_preset(config_of(score={"scorers": scorers}, harvest={"n_drawn": 0}))
    assert (fixed.harvest.n_drawn, fixed.harvest.n_neighbour) == (0, 4)


def test_a_resolved_config_gives_the_same_run() -> None:
    config = apply_preset(config_of(score={"preset": "oneill2024"}))
    assert apply_preset(parse_config(tomllib.loads(render_config(config)))) == config
