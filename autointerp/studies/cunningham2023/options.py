"""The options of the study of Cunningham et al. 2023."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import Field

from autointerp.config.dictionary_entry import FIXED_KINDS, DictionaryEntry
from autointerp.config.section import Count, Positive
from autointerp.config.sites import SITES, SitePoint
from autointerp.config.tree import Config
from autointerp.errors import ConfigError
from autointerp.studies.paper import Setting, StudyOptions

__all__ = ["CunninghamOptions", "main_entry", "point_of_text", "points", "rivals", "with_entries"]

TaskName = Literal["ioi", "greater_than", "subject_verb"]


class CunninghamOptions(StudyOptions):
    """What its parts take beside the run's config."""

    main: str = "sae"
    """The dictionary in which single features are studied and whose L1 weight and width are swept."""
    depths: tuple[str, ...] = ()
    """Where scores are compared, as SITE.LAYER, such as resid_post.3; the subject's own site where left out."""
    before: str | None = None
    """The place before the subject's site where causes are looked for, as SITE.LAYER."""
    l1_weights: tuple[Annotated[float, Field(gt=0)], ...] = (0.05, 0.1, 0.2, 0.4, 0.8)
    """Swept for the trade-off, and its first and last with every width for duplicates."""
    widths: tuple[Positive, ...] = (256, 512, 1024)
    """Numbers of features for duplicates."""
    tasks: tuple[TaskName, ...] = get_args(TaskName)
    """For localisation; the first that the subject can do is taken."""
    n_select: Positive = 16
    """Prompts on which features are chosen."""
    n_measure: Positive = 32
    """Other prompts, on which the curves are measured."""
    n_patched: tuple[Positive, ...] = (1, 2, 4, 8, 16, 32, 64, 128)
    """Numbers of features patched."""
    n_exact: Count = 8
    """Of the best features by attribution, so many are ordered by exact patching."""
    task_tokens: Positive = 20_000
    """Tokens of task prompts in the text of the dictionaries for localisation; the rest is corpus text."""
    n_passes: Positive = 8
    """How often those dictionaries read their activations."""
    n_contexts: Positive = 64
    """Places of a case study's feature on which effects are measured."""


def main_entry(setting: Setting[CunninghamOptions]) -> DictionaryEntry:
    """The dictionary of `study.main`. Raises ConfigError for one that is no ReLU SAE of this config."""
    known = {entry.name: entry for entry in setting.config.dictionaries if entry.kind == "relu" and not entry.is_tied}
    if setting.options.main not in known:
        raise ConfigError(
            f"study.main = '{setting.options.main}': no untied dictionary of kind 'relu' of that name; "
            f"use one of {', '.join(known) or 'your own'}"
        )
    return known[setting.options.main]


def rivals(config: Config) -> list[str]:
    """The dictionaries that are not trained: what the SAE's features are held against."""
    return [entry.name for entry in config.dictionaries if entry.kind in FIXED_KINDS]


def point_of_text(text: str, *, key: str) -> SitePoint:
    """`resid_post.3` as a point. Raises ConfigError, naming the key."""
    site, _, layer = text.rpartition(".")
    if site not in SITES or not layer.isdecimal():
        raise ConfigError(f"study.{key} = '{text}': give SITE.LAYER, such as resid_post.3; sites: {', '.join(SITES)}")
    return SitePoint(site, int(layer))


def points(setting: Setting[CunninghamOptions]) -> list[SitePoint]:
    """Where scores are compared, in the order given."""
    own = SitePoint(setting.config.subject.site, setting.config.subject.layer)
    return [point_of_text(text, key="depths") for text in setting.options.depths] or [own]


def with_entries(config: Config, entries: list[DictionaryEntry], *, point: SitePoint | None = None) -> Config:
    """The config with other dictionaries, read at another point."""
    place = {} if point is None else {"site": point.site, "layer": point.layer}
    return config.model_copy(
        update={"dictionaries": tuple(entries), "subject": config.subject.model_copy(update=place)}
    )
