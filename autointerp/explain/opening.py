"""Explainers by their name in the config."""

from __future__ import annotations

from autointerp.config.asking import ExplainConfig, ExplainerConfig
from autointerp.config.own_settings import declared_settings, read_settings, refuse_unused
from autointerp.explain.explainer import Explainer
from autointerp.plugins import load_plugin, open_plugin

__all__ = ["EXPLAINERS", "check_explainer_settings", "explainer_settings", "open_explainer"]

EXPLAINERS = "autointerp.explainers"
_PLACE = "explain.explainers"


def explainer_settings(entry: ExplainerConfig) -> ExplainerConfig:
    """The settings of an entry of explain.explainers. Raises PluginError for an unknown explainer, ConfigError for a
    bad key."""
    declared = declared_settings(load_plugin(EXPLAINERS, entry.name), ExplainerConfig)
    return read_settings(entry, declared, place=_PLACE)


def open_explainer(entry: ExplainerConfig, config: ExplainConfig) -> Explainer:
    """The explainer of an entry. Raises as `explainer_settings`."""
    return open_plugin(EXPLAINERS, entry.name, explainer_settings(entry), config, kind=Explainer)


def check_explainer_settings(entry: ExplainerConfig) -> None:
    """Raise ConfigError for a setting this explainer does not use."""
    refuse_unused(explainer_settings(entry), ExplainerConfig, place=_PLACE)
