"""Stage 5: from verdicts to the table of scores, the summary and the page; all of it can be deleted and rebuilt."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from autointerp.board.borrowed import Borrowed
from autointerp.board.context_figures import mean_context
from autointerp.board.entries import Dead, build_entries
from autointerp.board.feature_noise import WindowShares
from autointerp.board.feature_records import FeatureRecords, iter_records
from autointerp.board.level_figures import common_density
from autointerp.board.metrics import heading_of
from autointerp.board.protocol import describe_protocol
from autointerp.board.quality_file import FidelityRecord, QualityRecord, load_quality
from autointerp.board.report import render_report
from autointerp.board.score_file import open_scores, write_scores
from autointerp.board.score_table import ScoreGroup, ScoreTable
from autointerp.board.scores import RowMaker, all_groups, group_verdicts, own_groups
from autointerp.board.summary import build_summary, write_summary
from autointerp.config.tree import Config
from autointerp.progress import Progress
from autointerp.records.evidence_book import EvidenceBook, Outlined
from autointerp.records.evidence_file import Outline
from autointerp.run import Run
from autointerp.runs.journal_reader import JournalReader, Totals
from autointerp.runs.layout import RunLayout, write_text
from autointerp.runs.manifest import read_manifest
from autointerp.runs.reply_record import Account
from autointerp.score.controls import by_dictionary
from autointerp.score.opening import open_scorer
from autointerp.score.presets import apply_preset
from autointerp.score.scorer import Scale
from autointerp.seeds import derive
from autointerp.stages.looking import asked_features

__all__ = ["run"]

# features in the page; a site shows all
_MOST_SHOWN = 5000


def run(config: Config, layout: RunLayout, progress: Progress) -> dict[str, Any]:
    """Write `scores.parquet`, `summary.json` and `report.html`."""
    with progress.bar("report: scores, summary and page"):
        return _write(apply_preset(config), layout)


@dataclass(frozen=True, slots=True)
class _Facts:
    """What is known of the run before its features are read."""

    # by dictionary and feature
    evidences: EvidenceBook
    totals: Totals
    costs: Mapping[Account, float | None] | None
    # the groups of its verdicts
    answered: Sequence[ScoreGroup]
    # how features were scored in looks, by judge and dictionary; nothing where all were asked about at once
    looks: Mapping[str, Mapping[str, dict[str, Any]]]
    # how the verdicts of each scorer are read, by label
    scales: Mapping[str, Scale]
    # what was measured of each dictionary, None where nothing was
    quality: Mapping[str, QualityRecord | None]

    @classmethod
    def read(cls, config: Config, run: Run, journal: JournalReader) -> _Facts:
        """Raises PluginError for a scorer that is gone."""
        layout = run.layout
        looks = read_manifest(layout)["stages"].get("score", {}).get("looks", {}) if layout.is_run() else {}
        opened = [open_scorer(entry, config.score) for entry in config.score.scorers]
        return cls(
            run.open_evidence().by_feature(),
            journal.totals(),
            journal.load_costs(),
            [ScoreGroup(*group) for group in journal.load_groups()],
            looks,
            {scorer.name: scorer.scale for scorer in opened},
            {entry.name: load_quality(layout, entry.name) for entry in config.every_dictionary},
        )


class _Reading:
    """The features of a run, read once: rows are made of all, some are kept for the page."""

    def __init__(self, config: Config, facts: _Facts, journal: JournalReader) -> None:
        self._facts, self._journal = facts, journal
        self._wanted = _drawn(facts.evidences.outlines)
        own = own_groups(_explainers(config), facts.scales, judge=config.score.judge, judges=_judges(config))
        asked = {
            (judge, name): features
            for judge, looked in facts.looks.items()
            for name, features in asked_features(facts.evidences, looked, seed=config.seed).items()
        }
        self.lent = Borrowed(facts.evidences)
        density = common_density(facts.evidences.outlines)
        self._maker = RowMaker(all_groups(facts.answered, own), self.lent, density, facts.scales, asked)
        self.shown: list[FeatureRecords] = []
        self.shares = WindowShares()

    def rows(self) -> Iterator[dict[str, Any]]:
        journal = self._journal
        sorted_records = journal.iter_explanations(), journal.iter_verdicts(), journal.iter_unscored()
        for records in iter_records(self._facts.evidences, *sorted_records):
            evidence = records.evidence
            yield from self._maker.rows(records)
            for (_, _, group), verdicts in group_verdicts(records.verdicts).items():
                # the verdicts that F1 is made of
                if heading_of(self._facts.scales.get(group.scorer, Scale())) in ("f1", "macro_f1"):
                    self.shares.add(evidence, group, verdicts)
            if self._wanted is None or (evidence.dictionary, evidence.feature) in self._wanted:
                self.shown.append(records)


def _drawn(outlines: Sequence[Outline]) -> frozenset[tuple[str, int]] | None:
    """The features on the page, as many of each dictionary; None for all."""
    if len(outlines) <= _MOST_SHOWN:
        return None
    groups = by_dictionary(outlines)
    n = max(1, _MOST_SHOWN // len(groups))
    drawn = (sorted(group, key=lambda e: derive(0, "page", e.dictionary, e.feature))[:n] for group in groups.values())
    return frozenset((e.dictionary, e.feature) for group in drawn for e in group)


def _write(config: Config, layout: RunLayout) -> dict[str, Any]:
    run = Run(layout.root, config=config)
    with run.open_journal() as journal:
        facts = _Facts.read(config, run, journal)
        reading = _Reading(config, facts, journal)
        write_scores(layout.scores, reading.rows())
    scores = open_scores(layout.scores)
    entries = _entries(config, facts, scores, reading.shares.find())
    summary = build_summary(config.name, entries, about=_about(config, facts.totals))
    write_summary(layout.summary, summary)
    page = render_report(
        summary,
        scores=scores,
        shown=reading.shown,
        lent=reading.lent,
        n_features=len(facts.evidences),
        density_histograms={name: record.density_histogram for name, record in facts.quality.items() if record},
    )
    write_text(layout.report, page)
    return {"n_entries": len(entries), "usd": facts.totals.usd}


def _entries(
    config: Config, found: _Facts, scores: ScoreTable, shares: Mapping[tuple[str, ScoreGroup], float]
) -> list[dict[str, Any]]:
    outlines, scales, measured = found.evidences.outlines, found.scales, found.quality
    own = own_groups(_explainers(config), scales, judge=config.score.judge, judges=_judges(config))
    return build_entries(
        scores,
        seed=config.seed,
        costs=found.costs,
        quality={name: _quality(record) | mean_context(outlines, name) for name, record in measured.items()},
        sinks={name: record.sinks.model_dump() for name, record in measured.items() if record and record.sinks},
        origins={name: record.origin for name, record in measured.items() if record and record.origin},
        dead=_dead(config, outlines, measured),
        groups={group: heading_of(scales[group.scorer]) for group in own},
        order=[entry.name for entry in config.dictionaries],
        protocols=describe_protocol(config),
        window_shares=shares,
        looks={(judge, name): look for judge, facts in found.looks.items() for name, look in facts.items()},
        density=common_density(outlines),
    )


def _explainers(config: Config) -> list[str]:
    return [explainer.label or explainer.name for explainer in config.explain.explainers]


def _judges(config: Config) -> dict[str, str]:
    return {scorer.label or scorer.name: config.score.judge_of(scorer) for scorer in config.score.scorers}


def _about(config: Config, totals: Totals) -> dict[str, Any]:
    return {
        "subject": config.subject.model,
        "corpus": config.corpus.path,
        "seed": config.seed,
        "explain_judge": config.explain.judge,
        "score_judge": ", ".join(config.score.judges),
        "usd": totals.usd,
        "n_requests": totals.n_sent,
    }


def _dead(
    config: Config, features: Sequence[Outlined], measured: Mapping[str, QualityRecord | None]
) -> dict[str, Dead]:
    """The dictionaries without a feature that fires often enough to be sampled."""
    alive = {feature.dictionary for feature in features}
    dead = {}
    for entry in config.every_dictionary:
        if entry.name in alive:
            continue
        layer = config.subject.layer if entry.layer is None else entry.layer
        record, wanted = measured[entry.name], config.harvest.n_features
        counts = [n for n in (record and record.n_features, entry.n_features, wanted) if isinstance(n, int)]
        dead[entry.name] = Dead(f"{entry.site or config.subject.site}.{layer}", min(counts, default=0))
    return dead


def _quality(record: QualityRecord | None) -> dict[str, Any]:
    """The figures as the board names them."""
    if record is None:
        return {}
    fidelity = record.fidelity or FidelityRecord()
    return {
        "l0": record.l0,
        "dead_frac": record.dead_frac,
        **({"ultralow": record.ultralow.model_dump()} if record.ultralow else {}),
        "n_features": record.n_features,
        "normalised_mse": record.fvu,
        "loss_clean": fidelity.clean,
        "loss_spliced": fidelity.spliced,
        "loss_zero": fidelity.zero,
        "loss_mean": fidelity.mean,
        "loss_recovered": fidelity.recovered_zero_frac,
        "loss_recovered_mean": fidelity.recovered_mean_frac,
    }
