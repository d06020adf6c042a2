"""The options of the study of O'Neill et al. 2024."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from autointerp.errors import ConfigError
from autointerp.studies.paper import Setting, StudyOptions

__all__ = ["OneillOptions", "encoder_pair"]


class OneillOptions(StudyOptions):
    """What its parts take beside the run's config."""

    sae: str = "sae"
    """The dictionary of the linear-nonlinear encoder."""
    mlp: str = "mlp"
    """The dictionary of the MLP encoder."""
    preset: Literal["quick", "full"] = "quick"
    """Of the synthetic studies, as of `autointerp synth`."""
    kept: tuple[str, ...] = ()
    """Synthetic studies that are not made anew where their full size lies in results/synth."""
    sizes: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Settings of synthetic studies that differ from the preset, by the study's name."""


def encoder_pair(setting: Setting[OneillOptions]) -> tuple[str, str]:
    """The SAE's and the MLP encoder's entry. Raises ConfigError where the config lacks one."""
    known = {entry.name: entry.kind for entry in setting.config.dictionaries}
    for key, kind in (("sae", "relu"), ("mlp", "mlp")):
        name = getattr(setting.options, key)
        if known.get(name) != kind:
            own = ", ".join(each for each, its in known.items() if its == kind) or "one of your own"
            raise ConfigError(f"study.{key} = '{name}': no dictionary of kind '{kind}' of that name; use {own}")
    return setting.options.sae, setting.options.mlp
