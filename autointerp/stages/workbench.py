"""What the tensor stages work with: the subject, the corpus and where each dictionary reads, opened from a config."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from autointerp.config.dictionary_entry import EVIDENCE_KIND, DictionaryEntry
from autointerp.config.sites import SitePoint
from autointerp.config.tree import Config
from autointerp.errors import ConfigError
from autointerp.records.document import Role
from autointerp.stages.objects import Objects, held_model, held_texts
from autointerp.subject.corpus import Corpus, open_corpus
from autointerp.subject.model import Subject, load_subject
from autointerp.subject.packing import PackedBatch, iter_batches, require_tokens
from sae_core.dictionary import Dictionary

__all__ = ["Workbench", "open_workbench", "out_point_of", "point_of"]


@dataclass(frozen=True, slots=True)
class Workbench:
    """A subject and a corpus that fit together."""

    config: Config
    subject: Subject
    corpus: Corpus

    def point(self, entry: DictionaryEntry) -> SitePoint:
        return point_of(self.config, entry)

    def out_point(self, entry: DictionaryEntry, dictionary: Dictionary) -> SitePoint:
        return out_point_of(self.config, entry, dictionary)

    def evidence_batches(self, role: Role, *, max_tokens: int | None = None) -> Iterator[PackedBatch]:
        """The contexts of one evidence role, each token at most once."""
        return iter_batches(
            self.corpus.iter_documents(role),
            tokenizer=self.subject.tokenizer,
            role=role,
            context_tokens=self.config.subject.context_tokens,
            batch_contexts=self.config.subject.batch_contexts,
            max_tokens=max_tokens or self.tokens_per_role,
            packing=self.config.subject.packing,
            skip_first=self.config.subject.skip_first,
        )

    def iter_evidence(self) -> Iterator[PackedBatch]:
        """The contexts of both evidence roles."""
        return chain(self.evidence_batches("explain"), self.evidence_batches("score"))

    @property
    def tokens_per_role(self) -> int:
        return max(1, self.config.corpus.evidence_tokens // 2)

    def require_evidence_text(self) -> None:
        """Raise InputError where the corpus is shorter than the evidence asks for; all of that is tokenised to know."""
        roles: dict[Role, int] = {"explain": self.tokens_per_role, "score": self.tokens_per_role}
        tokenizer = self.subject.tokenizer
        require_tokens(self.corpus, tokenizer=tokenizer, roles=roles, key="corpus.evidence_tokens")


def point_of(config: Config, entry: DictionaryEntry) -> SitePoint:
    layer = config.subject.layer if entry.layer is None else entry.layer
    return SitePoint(entry.site or config.subject.site, layer)


def out_point_of(config: Config, entry: DictionaryEntry, dictionary: Dictionary) -> SitePoint:
    """Where its directions belong and its output: a transcoder's to another site than it reads."""
    point = point_of(config, entry)
    return SitePoint(entry.out_site or "mlp_out", point.layer) if dictionary.is_transcoder else point


def open_workbench(config: Config, objects: Objects | None = None) -> Workbench:
    """Load subject and corpus, or take those among `objects`.

    Raises SubjectError for a model, site or layer that does not exist, InputError for a corpus missing or empty.
    """
    imported = next((entry for entry in config.dictionaries if entry.kind == EVIDENCE_KIND), None)
    if imported is not None:
        raise ConfigError(
            f"dictionaries.{imported.name} has kind '{EVIDENCE_KIND}': only its evidence is there, to be explained and "
            "scored; to harvest anew, give the dictionary itself (kind = 'load')"
        )
    held = held_model(objects or {})
    if held is None:
        subject = load_subject(config.subject, device=config.device, seed=config.seed)
    else:
        subject = held.open(config.subject, device=config.device, seed=config.seed)
    for entry in config.every_dictionary:
        subject.check(point_of(config, entry))
    texts = held_texts(objects or {})
    corpus = open_corpus(config.corpus) if texts is None else texts.open()
    return Workbench(config, subject, corpus)
