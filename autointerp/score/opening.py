"""Scorers by their name in the config."""

from __future__ import annotations

from autointerp.config.asking import ScoreConfig, ScorerConfig
from autointerp.config.own_settings import declared_settings, read_settings, refuse_unused
from autointerp.plugins import load_plugin, open_plugin
from autointerp.score.scorer import Scorer

__all__ = ["SCORERS", "check_scorer_settings", "open_scorer", "scorer_settings"]

SCORERS = "autointerp.scorers"
_PLACE = "score.scorers"


def scorer_settings(entry: ScorerConfig) -> ScorerConfig:
    """The settings of an entry of score.scorers. Raises PluginError for an unknown scorer, ConfigError for a bad
    key."""
    return read_settings(entry, declared_settings(load_plugin(SCORERS, entry.name), ScorerConfig), place=_PLACE)


def open_scorer(entry: ScorerConfig, score: ScoreConfig) -> Scorer:
    """The scorer of an entry. Raises as `scorer_settings`."""
    return open_plugin(SCORERS, entry.name, scorer_settings(entry), score, kind=Scorer)


def check_scorer_settings(entry: ScorerConfig) -> None:
    """Raise ConfigError for a setting this scorer does not use."""
    refuse_unused(scorer_settings(entry), ScorerConfig, place=_PLACE)
