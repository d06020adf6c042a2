"""A run's subject and dictionaries, opened when asked for, to be read and intervened on: no corpus is read."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from autointerp.config.dictionary_entry import DictionaryEntry
from autointerp.config.sites import SitePoint
from autointerp.errors import ArtefactError, ConfigError
from autointerp.harvest.firing import FiringRules
from autointerp.harvest.passes import LoadedDictionary
from autointerp.run import Run
from autointerp.runs.digests import dictionary_files, require_files
from autointerp.stages.run_dictionaries import load_dictionary
from autointerp.stages.site_activations import keep_dtype
from autointerp.subject.model import Subject, load_subject
from sae_core.checkpoint import CONFIG_FILE
from sae_core.dictionary import Dictionary

__all__ = ["RunFeature", "RunModel"]


@dataclass(frozen=True, eq=False)
class RunFeature:
    """Its value at `activation` a (as evidence counts it, above 0) is `value(a)`, in the codes' units."""

    name: str
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


class RunModel:
    """Each part is loaded once. Raises ArtefactError where the run has no weights of a dictionary."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self._entries = {entry.name: entry for entry in run.config.every_dictionary}
        self._loaded: dict[str, LoadedDictionary] = {}
        self._strongest: dict[str, dict[int, float]] = {}

    @property
    def names(self) -> list[str]:
        return list(self._entries)

    @cached_property
    def subject(self) -> Subject:
        config = self.run.config
        subject = load_subject(config.subject, device=config.device, seed=config.seed)
        keep_dtype(subject, self.run.layout)
        return subject

    def dictionary(self, name: str) -> LoadedDictionary:
        if name not in self._loaded:
            self._loaded[name] = self._load(self._entries[name])
        return self._loaded[name]

    def strongest(self, name: str) -> dict[int, float]:
        """The largest activation of each feature that was sampled, in the evidence."""
        if name not in self._strongest:
            has_evidence = self.run.layout.evidence_file(name).is_file()
            evidence = self.run.open_evidence(name) if has_evidence else []
            self._strongest[name] = {item.feature: item.max_activation for item in evidence}
        return self._strongest[name]

    def feature(self, name: str) -> RunFeature:
        """The feature `DICTIONARY/INDEX`.

        Raises ConfigError for a name, dictionary or index there is not, and where the dictionary is a transcoder.
        """
        of, _, index = name.rpartition("/")
        if not of or not index.isdecimal():
            raise ConfigError(f"feature '{name}': give DICTIONARY/INDEX, for example 'sae/12'")
        if of not in self._entries:
            raise ConfigError(
                f"feature '{name}': {self.run.path} has no dictionary '{of}'; it has {', '.join(self._entries)}"
            )
        loaded = self.dictionary(of)
        if int(index) >= loaded.dictionary.n_features:
            raise ConfigError(f"feature '{name}': '{of}' has the features 0 to {loaded.dictionary.n_features - 1}")
        if loaded.dictionary.is_transcoder:
            raise ConfigError(f"feature '{name}': '{of}' is a transcoder, whose directions belong to another place")
        return RunFeature(
            name=name,
            subject=self.subject,
            dictionary=loaded.dictionary,
            point=loaded.point,
            feature=int(index),
            rules=loaded.rules,
            max_activation=self.strongest(of).get(int(index)),
        )

    def _load(self, entry: DictionaryEntry) -> LoadedDictionary:
        layout = self.run.layout
        if not (layout.dictionary(entry.name) / CONFIG_FILE).is_file():
            raise ArtefactError(
                f"{self.run.path} has no weights of '{entry.name}'; where `rescore` made the run, they are in the run "
                "that it was made from"
            )
        require_files(layout, *dictionary_files(layout, entry.name))
        return load_dictionary(entry, self.run.config, layout, device=self.subject.device)
