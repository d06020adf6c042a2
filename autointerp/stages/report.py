"""Stage 5: from verdicts to the table of scores, the summary and the page; all of it can be deleted and rebuilt."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

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
from autointerp.plugins import load_plugin
from autointerp.progress import Progress
from autointerp.records.evidence import Evidence
from autointerp.records.verdict import Verdict
from autointerp.run import Run
from autointerp.runs.layout import RunLayout, write_text
from autointerp.runs.manifest import read_manifest
from autointerp.score.presets import apply_preset
from autointerp.score.protocol import Scale
from autointerp.stages.looking import asked_features

__all__ = ["run"]


def run(config: Config, layout: RunLayout, progress: Progress) -> dict[str, Any]:
    """Write `scores.parquet`, `summary.json` and `report.html`; gives the facts for the manifest."""
    with progress.bar("report: scores, summary and page"):
        return _write(apply_preset(config), layout)


def _write(config: Config, layout: RunLayout) -> dict[str, Any]:
    run = Run(layout.root, config=config)
    evidences = run.evidence()
    with run.open_journal() as journal:
        explanations, verdicts, totals = journal.load_explanations(), journal.load_verdicts(), journal.totals()
        costs, reasons = journal.load_costs(), journal.load_unscored()
    looks, scales = _looks(layout), _scales(config)
    explainers = [explainer.label or explainer.name for explainer in config.explain.explainers]
    judges = {s.label or s.name: config.score.judge_of(s) for s in config.score.scorers}
    own = own_groups(explainers, scales, judge=config.score.judge, judges=judges)
    scores = build_scores(
        evidences,
        explanations,
        verdicts,
        explainers=explainers,
        scorers=scales,
        judge=config.score.judge,
        judges=judges,
        unscored=reasons,
        asked={
            (judge, name): features
            for judge, facts in looks.items()
            for name, features in asked_features(evidences, facts, seed=config.seed).items()
        },
    )
    write_scores(layout.scores, scores)
    measured = {entry.name: load_quality(layout, entry.name) for entry in config.dictionaries}
    entries = build_entries(
        scores,
        seed=config.seed,
        costs=costs,
        quality={name: _quality(record) | mean_context(evidences, name) for name, record in measured.items()},
        sinks={name: record.sinks.model_dump() for name, record in measured.items() if record and record.sinks},
        origins={name: record.origin for name, record in measured.items() if record and record.origin},
        dead=_dead(config, evidences, measured),
        groups={group: heading_of(scales[group.scorer]) for group in own},
        order=[entry.name for entry in config.dictionaries],
        protocols=describe_protocol(config),
        window_shares=window_shares(evidences, group_verdicts(_yes_or_no(verdicts, scales))),
        looks={(judge, name): found for judge, facts in looks.items() for name, found in facts.items()},
        density=common_density(evidences),
    )
    about = {
        "subject": config.subject.model,
        "corpus": config.corpus.path,
        "seed": config.seed,
        "explain_judge": config.explain.judge,
        "score_judge": ", ".join(config.score.judges),
        "usd": totals.usd,
        "n_requests": totals.n_sent,
    }
    summary = build_summary(config.name, entries, about=about)
    write_summary(layout.summary, summary)
    page = render_report(
        summary,
        scores=scores,
        evidences=evidences,
        explanations=explanations,
        verdicts=verdicts,
        density_histograms={name: record.density_histogram for name, record in measured.items() if record},
    )
    write_text(layout.report, page)
    return {"n_entries": len(entries), "usd": totals.usd}


def _looks(layout: RunLayout) -> dict[str, dict[str, dict[str, Any]]]:
    """How features were scored in looks, by judge and dictionary; nothing where all were asked about at once."""
    if not layout.is_run():
        return {}
    return read_manifest(layout)["stages"].get("score", {}).get("looks", {})


def _yes_or_no(verdicts: Iterable[Verdict], scales: Mapping[str, Scale]) -> Iterable[Verdict]:
    """The verdicts that F1 is made of."""
    return (v for v in verdicts if heading_of(scales.get(v.scorer, Scale())) in ("f1", "macro_f1"))


def _scales(config: Config) -> dict[str, Scale]:
    """How the verdicts of each of the run's scorers are read, by label. Raises PluginError for one that is gone."""
    opened = [load_plugin("autointerp.scorers", s.name)(s, config.score) for s in config.score.scorers]
    return {scorer.name: scorer.scale for scorer in opened}


def _dead(
    config: Config, evidences: Sequence[Evidence], measured: Mapping[str, QualityRecord | None]
) -> dict[str, Dead]:
    """The dictionaries of which not one feature fires often enough to be sampled."""
    alive = {evidence.dictionary for evidence in evidences}
    found = {}
    for entry in config.dictionaries:
        if entry.name in alive:
            continue
        layer = config.subject.layer if entry.layer is None else entry.layer
        record, wanted = measured[entry.name], config.harvest.n_features
        counts = [n for n in (record and record.n_features, entry.n_features, wanted) if isinstance(n, int)]
        found[entry.name] = Dead(f"{entry.site or config.subject.site}.{layer}", min(counts, default=0))
    return found


def _quality(record: QualityRecord | None) -> dict[str, Any]:
    """The dictionary's figures as the board names them; nothing where it was never measured."""
    if record is None:
        return {}
    fidelity = record.fidelity or FidelityRecord()
    return {
        "l0": record.l0,
        "dead_frac": record.dead_frac,
        "n_features": record.n_features,
        "normalised_mse": record.fvu,
        "loss_clean": fidelity.clean,
        "loss_spliced": fidelity.spliced,
        "loss_zero": fidelity.zero,
        "loss_mean": fidelity.mean,
        "loss_recovered": fidelity.recovered_zero_frac,
        "loss_recovered_mean": fidelity.recovered_mean_frac,
    }
