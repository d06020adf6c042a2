"""Stage 5: from verdicts to the table of scores, the summary and the page; all of it can be deleted and rebuilt."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from autointerp.board.context_figures import mean_context
from autointerp.board.entries import Dead, build_entries
from autointerp.board.feature_noise import window_shares
from autointerp.board.level_figures import common_density
from autointerp.board.metrics import heading_of
from autointerp.board.protocol import describe_protocol
from autointerp.board.quality_file import FidelityRecord, QualityRecord, load_quality
from autointerp.board.report import render_report
from autointerp.board.score_file import write_scores
from autointerp.board.scores import build_scores, group_verdicts, own_groups
from autointerp.board.summary import build_summary, write_summary
from autointerp.config.tree import Config
from autointerp.progress import Progress
from autointerp.records.evidence import Evidence
from autointerp.records.verdict import Explanation, Unscored, Verdict
from autointerp.run import Run
from autointerp.runs.journal_reader import Totals
from autointerp.runs.layout import RunLayout, write_text
from autointerp.runs.manifest import read_manifest
from autointerp.runs.reply_record import Account
from autointerp.score.opening import open_scorer
from autointerp.score.presets import apply_preset
from autointerp.score.scorer import Scale
from autointerp.stages.looking import asked_features

__all__ = ["run"]


def run(config: Config, layout: RunLayout, progress: Progress) -> dict[str, Any]:
    """Write `scores.parquet`, `summary.json` and `report.html`."""
    with progress.bar("report: scores, summary and page"):
        return _write(apply_preset(config), layout)


@dataclass(frozen=True, slots=True)
class _Findings:
    evidences: Sequence[Evidence]
    explanations: Sequence[Explanation]
    verdicts: Sequence[Verdict]
    unscored: Sequence[Unscored]
    totals: Totals
    costs: Mapping[Account, float | None] | None
    # how features were scored in looks, by judge and dictionary; nothing where all were asked about at once
    looks: Mapping[str, Mapping[str, dict[str, Any]]]
    # how the verdicts of each scorer are read, by label
    scales: Mapping[str, Scale]
    # what was measured of each dictionary, None where nothing was
    quality: Mapping[str, QualityRecord | None]

    @classmethod
    def read(cls, config: Config, layout: RunLayout) -> _Findings:
        """Raises PluginError for a scorer that is gone."""
        run = Run(layout.root, config=config)
        looks = read_manifest(layout)["stages"].get("score", {}).get("looks", {}) if layout.is_run() else {}
        opened = [open_scorer(entry, config.score) for entry in config.score.scorers]
        with run.open_journal() as journal:
            return cls(
                run.evidence(),
                journal.load_explanations(),
                journal.load_verdicts(),
                journal.load_unscored(),
                journal.totals(),
                journal.load_costs(),
                looks,
                {scorer.name: scorer.scale for scorer in opened},
                {entry.name: load_quality(layout, entry.name) for entry in config.every_dictionary},
            )


def _write(config: Config, layout: RunLayout) -> dict[str, Any]:
    findings = _Findings.read(config, layout)
    scores = _scores(config, findings)
    write_scores(layout.scores, scores)
    entries = _entries(config, findings, scores)
    summary = build_summary(config.name, entries, about=_about(config, findings.totals))
    write_summary(layout.summary, summary)
    page = render_report(
        summary,
        scores=scores,
        evidences=findings.evidences,
        explanations=findings.explanations,
        verdicts=findings.verdicts,
        density_histograms={name: record.density_histogram for name, record in findings.quality.items() if record},
    )
    write_text(layout.report, page)
    return {"n_entries": len(entries), "usd": findings.totals.usd}


def _scores(config: Config, found: _Findings) -> pd.DataFrame:
    return build_scores(
        found.evidences,
        found.explanations,
        found.verdicts,
        explainers=_explainers(config),
        scorers=found.scales,
        judge=config.score.judge,
        judges=_judges(config),
        unscored=found.unscored,
        asked={
            (judge, name): features
            for judge, facts in found.looks.items()
            for name, features in asked_features(found.evidences, facts, seed=config.seed).items()
        },
    )


def _entries(config: Config, found: _Findings, scores: pd.DataFrame) -> list[dict[str, Any]]:
    evidences, scales, measured = found.evidences, found.scales, found.quality
    own = own_groups(_explainers(config), scales, judge=config.score.judge, judges=_judges(config))
    return build_entries(
        scores,
        seed=config.seed,
        costs=found.costs,
        quality={name: _quality(record) | mean_context(evidences, name) for name, record in measured.items()},
        sinks={name: record.sinks.model_dump() for name, record in measured.items() if record and record.sinks},
        origins={name: record.origin for name, record in measured.items() if record and record.origin},
        dead=_dead(config, evidences, measured),
        groups={group: heading_of(scales[group.scorer]) for group in own},
        order=[entry.name for entry in config.dictionaries],
        protocols=describe_protocol(config),
        window_shares=window_shares(evidences, group_verdicts(_yes_or_no(found.verdicts, scales))),
        looks={(judge, name): look for judge, facts in found.looks.items() for name, look in facts.items()},
        density=common_density(evidences),
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


def _yes_or_no(verdicts: Iterable[Verdict], scales: Mapping[str, Scale]) -> Iterable[Verdict]:
    """The verdicts that F1 is made of."""
    return (v for v in verdicts if heading_of(scales.get(v.scorer, Scale())) in ("f1", "macro_f1"))


def _dead(
    config: Config, evidences: Sequence[Evidence], measured: Mapping[str, QualityRecord | None]
) -> dict[str, Dead]:
    """The dictionaries without a feature that fires often enough to be sampled."""
    alive = {evidence.dictionary for evidence in evidences}
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
