"""A feature of a run, opened with its subject to be intervened on: no corpus is read."""

from __future__ import annotations

from dataclasses import dataclass

from autointerp.config.sites import SitePoint
from autointerp.errors import ConfigError
from autointerp.harvest.firing import FiringRules
from autointerp.records.evidence_book import some_of
from autointerp.run import Run
from autointerp.runs.digests import dictionary_files, require_files
from autointerp.stages.ready_dictionaries import reopen
from autointerp.stages.workbench import point_of
from autointerp.subject.model import Subject, load_subject
from sae_core.dictionary import Dictionary

__all__ = ["RunFeature", "open_feature"]


@dataclass(frozen=True, eq=False)
class RunFeature:
    """Its value at `activation` a (as evidence counts it, above 0) is `value(a)`, in the codes' units."""

    subject: Subject
    dictionary: Dictionary
    point: SitePoint
    feature: int
    rules: FiringRules
    # the largest activation over the run's evidence; None where the feature was not sampled
    max_activation: float | None

    def value(self, activation: float) -> float:
        threshold, sign = (float(each[self.feature]) for each in (self.rules.threshold, self.rules.sign))
        return sign * (activation + min(threshold, 0.0))


def open_feature(run: Run, name: str) -> RunFeature:
    """The feature `DICTIONARY/INDEX`.

    Raises ConfigError for a name, dictionary or index there is not, and where the dictionary is a transcoder;
    ArtefactError where the run has no weights of it.
    """
    config = run.config
    entry_name, _, index = name.rpartition("/")
    if not entry_name or not index.isdecimal():
        raise ConfigError(f"feature '{name}': give DICTIONARY/INDEX, for example 'sae/12'")
    entries = {entry.name: entry for entry in config.every_dictionary}
    if entry_name not in entries:
        raise ConfigError(f"feature '{name}': {run.path} has no dictionary '{entry_name}'; it has {', '.join(entries)}")
    entry = entries[entry_name]
    require_files(run.layout, *dictionary_files(run.layout, entry_name))
    subject = load_subject(config.subject, device=config.device, seed=config.seed)
    dictionary = reopen(entry, run.layout, device=subject.device)
    if int(index) >= dictionary.n_features:
        raise ConfigError(f"feature '{name}': '{entry_name}' has the features 0 to {dictionary.n_features - 1}")
    if dictionary.is_transcoder:
        raise ConfigError(f"feature '{name}': '{entry_name}' is a transcoder, whose directions belong to another place")
    evidence = run.open_evidence(entry_name) if run.layout.evidence_file(entry_name).is_file() else []
    known = [item.max_activation for item in some_of(evidence, lambda outline: outline.feature == int(index))]
    return RunFeature(
        subject=subject,
        dictionary=dictionary,
        point=point_of(config, entry),
        feature=int(index),
        rules=FiringRules.load(run.layout.dictionary(entry_name)),
        max_activation=known[0] if known else None,
    )
