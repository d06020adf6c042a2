"""The options of the study of Bricken et al. 2023."""

from __future__ import annotations

from pydantic import Field

from autointerp.config.dictionary_entry import FIXED_KINDS, DictionaryEntry
from autointerp.config.section import Count, Positive
from autointerp.config.tree import Config
from autointerp.errors import ConfigError
from autointerp.studies.paper import Setting, StudyOptions

__all__ = ["BrickenOptions", "main_entry", "widths"]


class BrickenOptions(StudyOptions):
    """What its parts take beside the run's config."""

    main: str | None = None
    """The dictionary in which single features are studied, the paper's A/1; by default the second widest."""
    second: str | None = None
    """A second subject, as `subject.model`, in which features are looked for again."""
    second_layer: Count = 0
    """The block of the second subject."""
    n_prompts: Positive = 12
    """Prompts that are gone on with while a feature is held."""
    n_sampled: Positive = 24
    """Tokens sampled after each."""
    proxies: dict[str, str] = Field(default_factory=dict)
    """Regular expressions of further concepts by name; `--proxy NAME=REGEX` sets one."""


def widths(config: Config) -> list[DictionaryEntry]:
    """The trained dictionaries, narrow first. Raises ConfigError where there is none."""
    trained = [entry for entry in config.dictionaries if entry.kind not in FIXED_KINDS]
    if not trained:
        raise ConfigError("dictionaries: the study needs one that is trained, such as kind = 'relu'")
    return sorted(trained, key=lambda entry: (entry.n_features or 0, entry.name))


def main_entry(setting: Setting[BrickenOptions]) -> DictionaryEntry:
    """The dictionary of `study.main`. Raises ConfigError for one that is not trained here."""
    trained = {entry.name: entry for entry in widths(setting.config)}
    name = setting.options.main or list(trained)[-2:][0]
    if name not in trained:
        raise ConfigError(f"study.main = '{name}': no trained dictionary of that name; use one of {', '.join(trained)}")
    return trained[name]
