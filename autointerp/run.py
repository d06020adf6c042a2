"""A run on disk as one object that is only read."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
from markupsafe import escape

from autointerp.board.feature_html import feature_html
from autointerp.board.frame import leaderboard_frame
from autointerp.board.leaderboard import render_leaderboard
from autointerp.board.score_file import open_scores, read_scores
from autointerp.board.score_table import ScoreTable
from autointerp.board.summary import read_summary
from autointerp.config.tree import Config
from autointerp.errors import ArtefactError, ConfigError
from autointerp.records.evidence import Evidence
from autointerp.records.evidence_book import EvidenceBook
from autointerp.records.evidence_file import EvidenceFile
from autointerp.records.verdict import Explanation, Verdict
from autointerp.runs.digests import is_stated, require_files, require_journal
from autointerp.runs.journal import read_journal
from autointerp.runs.journal_reader import JournalReader
from autointerp.runs.journal_view import JournalView, open_view
from autointerp.runs.layout import RunLayout
from autointerp.runs.manifest import load_run_config, read_manifest
from autointerp.runs.remote import open_run
from autointerp.safe_text import safe_text

__all__ = ["Feature", "Run"]

_N_SHOWN = 5


class Run:
    """The run in the directory or at the address `path`, finished or not; tables are data frames made when asked for.

    Every property and method raises ArtefactError, naming the file and the fix, where what it reads is missing, damaged
    or of another schema version.
    """

    def __init__(self, path: str | Path, *, config: Config | None = None) -> None:
        """Raises ArtefactError where there is no such directory."""
        self.layout = RunLayout(open_run(path))
        if not self.layout.root.is_dir():
            raise ArtefactError(f"{path} is no run: there is no such directory; a run is what `autointerp run` made")
        # from a caller that holds it already
        if config is not None:
            self.config = config

    @property
    def path(self) -> Path:
        return self.layout.root

    @cached_property
    def config(self) -> Config:
        return load_run_config(self.layout)

    @property
    def manifest(self) -> dict[str, Any]:
        """What made the run (packages, seed, commit), and each finished stage's facts, under `stages`."""
        return read_manifest(self.layout)

    @property
    def stages(self) -> frozenset[str]:
        return frozenset(self.manifest["stages"])

    def evidence(self, dictionary: str | None = None) -> list[Evidence]:
        """Evidence of one dictionary, or of all in the config's order."""
        return list(self.open_evidence(dictionary))

    def open_evidence(self, dictionary: str | None = None) -> EvidenceBook:
        """As `evidence`, each feature read when it is asked for."""
        names = [entry.name for entry in self.config.every_dictionary]
        if dictionary is not None and dictionary not in names:
            raise ConfigError(f"{self.path} has no dictionary '{dictionary}'; it has {', '.join(names)}")
        wanted = names if dictionary is None else [dictionary]
        paths = [self.layout.evidence_file(name) for name in wanted]
        require_files(self.layout, *paths)
        return EvidenceBook(EvidenceFile(path, dictionary=name) for path, name in zip(paths, wanted, strict=True))

    def open_journal(self) -> JournalReader:
        """The journal, read only; close it, or use `with`."""
        _ = self._vouched
        return read_journal(self.layout.journal)

    @cached_property
    def _vouched(self) -> None:
        """Raises ArtefactError unless the journal holds what the finished stages recorded."""
        require_journal(self.layout)

    def open_journals(self) -> JournalView:
        """The journal and those of shards that are not merged yet, as one."""
        return open_view([self.layout.journal, *(shard.journal for shard in self.layout.find_shards())])

    @property
    def explanations(self) -> pd.DataFrame:
        """A row per feature and explainer; `text` is None where there is none, and `failure` says why."""
        with self.open_journal() as journal:
            return _frame(Explanation, journal.load_explanations())

    @property
    def verdicts(self) -> pd.DataFrame:
        """A row per answer about a window; `control` is None for the feature's own explanation."""
        with self.open_journal() as journal:
            return _frame(Verdict, journal.load_verdicts())

    @property
    def scores(self) -> pd.DataFrame:
        require_files(self.layout, self.layout.scores)
        return read_scores(self.layout.scores)

    def open_scores(self) -> ScoreTable:
        """As `scores`, to be read in parts."""
        require_files(self.layout, self.layout.scores)
        if not is_stated(self.layout, self.layout.scores):
            read_scores(self.layout.scores)  # nobody else vouches for what it holds
        return open_scores(self.layout.scores)

    @property
    def summary(self) -> dict[str, Any]:
        """The leaderboard's entries with every figure and interval."""
        require_files(self.layout, self.layout.summary)
        return read_summary(self.layout.summary)

    @property
    def page(self) -> bytes:
        require_files(self.layout, self.layout.report)
        return self.layout.report.read_bytes()

    @property
    def leaderboard(self) -> pd.DataFrame:
        """The entries that may be compared, best first, to three digits."""
        return leaderboard_frame([self.summary])

    def feature(self, name: str) -> Feature:
        """A sampled feature by `DICTIONARY/INDEX`. Raises ConfigError where it was not sampled."""
        dictionary, _, index = name.rpartition("/")
        if not dictionary or not index.isdecimal():
            raise ConfigError(f"feature '{name}': give DICTIONARY/INDEX, for example 'sae/12'")
        book = self.open_evidence(dictionary)
        known = {outline.feature: place for place, outline in enumerate(book.outlines)}
        if int(index) not in known:
            near = sorted(known, key=lambda feature: (abs(feature - int(index)), feature))[:_N_SHOWN]
            raise ConfigError(
                f"feature '{name}': it is not among the {len(known)} sampled features of '{dictionary}'; "
                f"nearest are {', '.join(map(str, sorted(near))) or 'none'}"
            )
        own, told, said = (dictionary, int(index)), [], []
        if self.layout.journal.is_file():
            with self.open_journal() as journal:
                told, said = journal.load_explanations(*own), journal.load_verdicts(*own)
        return Feature(
            book[known[int(index)]],
            explanations=_frame(Explanation, told),
            verdicts=_frame(Verdict, said),
            scores=self.open_scores().frame(*own) if self.layout.scores.is_file() else pd.DataFrame(),
        )

    def __repr__(self) -> str:
        return f"Run('{self.path}')"

    def _repr_html_(self) -> str | None:
        """The leaderboard in a notebook, where there is one."""
        if not self.layout.summary.is_file():
            return None
        frame = self.leaderboard
        shared = ", ".join(
            f"{name} {value:.3f}" if isinstance(value, float) else f"{name} {value}"
            for name, value in frame.attrs.items()
        )
        return f"<p>{escape(safe_text(shared))}</p>{frame.rename(index=safe_text).to_html()}"

    def __str__(self) -> str:
        """The leaderboard, or where the run stands while it has none."""
        if self.layout.summary.is_file():
            return render_leaderboard([self.summary]).rstrip()
        return f"{self!r}: {', '.join(sorted(self.stages)) or 'nothing'} done"


@dataclass(frozen=True)
class Feature:
    """One sampled feature; tables are empty where their stage is still to come."""

    evidence: Evidence
    explanations: pd.DataFrame = field(repr=False)
    verdicts: pd.DataFrame = field(repr=False)
    scores: pd.DataFrame = field(repr=False)

    @property
    def windows(self) -> pd.DataFrame:
        """A row per window with its tokens and activations, the strongest first."""
        rows = [
            {
                "id": window.id,
                "role": window.role,
                "kind": window.kind,
                "max_activation": window.max_activation,
                "text": window.text,
                "tokens": window.token_texts(),
                "activations": list(window.activations),
            }
            for window in sorted(self.evidence.windows, key=lambda w: -w.max_activation)
        ]
        return pd.DataFrame(rows, columns=None if rows else ["id", "role", "kind", "max_activation", "text"])

    @property
    def logit_effects(self) -> pd.DataFrame:
        """What the direction adds to single tokens' logits, most raised first; the strongest only."""
        lowered = reversed(self.evidence.bottom_logits)
        rows = [(effect.text, effect.logit) for effect in (*self.evidence.top_logits, *lowered)]
        return pd.DataFrame(rows, columns=["token", "logit"])

    def _repr_html_(self) -> str:
        """The feature in a notebook."""
        told, scores = (frame.to_dict("records") for frame in (self.explanations, self.scores))
        return feature_html(self.evidence, told=told, scores=scores, n_windows=2 * _N_SHOWN)

    def __str__(self) -> str:
        own = self.evidence
        lines = [f"{own.dictionary}/{own.feature} at {own.site}: fires on {own.density:.3%} of tokens"]
        told = self.explanations.to_dict("records")
        lines += [f"  {row['explainer']}: {row['text'] or row['failure']}" for row in told]
        scored = [row for row in self.scores.to_dict("records") if pd.notna(row["score"])]
        lines += [f"  {row['scorer']}: {row['metric']} {row['score']:.3f}" for row in scored]
        strongest = sorted(own.windows, key=lambda w: -w.max_activation)[:_N_SHOWN]
        return "\n".join([*lines, *(f"  {w.max_activation:8.3g}  {w.text!r}" for w in strongest)])


def _frame(kind: type[Explanation] | type[Verdict], records: list[Any]) -> pd.DataFrame:
    return pd.DataFrame([asdict(record) for record in records], columns=[f.name for f in fields(kind)])
