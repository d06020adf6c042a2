"""Stage 4: scorers ask a judge where each explained feature fires; verdicts go to the journal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from autointerp.config.tree import Config
from autointerp.judges.client import Client
from autointerp.judges.registry import load_plugin
from autointerp.loop import score_features
from autointerp.progress import Progress
from autointerp.runs.journal import Journal, open_journal
from autointerp.runs.layout import RunLayout
from autointerp.score.presets import apply_preset
from autointerp.score.results import Scoring
from autointerp.stages.asking import ask_with
from autointerp.stages.evidence import read_all_evidence
from autointerp.workers import Progress as WorkProgress

__all__ = ["run"]


def run(config: Config, layout: RunLayout, progress: Progress) -> dict[str, Any]:
    """Hold every explanation against held-out windows; gives the facts for the manifest."""
    config = apply_preset(config)
    scorers = [load_plugin("autointerp.scorers", s.name)(s, config.score) for s in config.score.scorers]
    evidences = read_all_evidence(config, layout)
    with open_journal(layout.journal, must_exist=True) as journal:
        explanations = journal.load_explanations()

    async def score(client: Client, journal: Journal, show: Callable[[WorkProgress], None]) -> Scoring:
        journal.forget_verdicts()
        return await score_features(
            evidences,
            explanations,
            scorers=scorers,
            client=client,
            judge=config.score.judge,
            seed=config.seed,
            shuffled_frac=config.controls.shuffled,
            n_workers=config.limits.max_concurrent,
            recorder=journal,
            on_progress=show,
        )

    scoring = ask_with(config.score.judge, score, config=config, layout=layout, progress=progress, label="score")
    return {
        "prompt_hashes": {scorer.name: scorer.prompt_hash for scorer in scorers},
        "n_verdicts": len(scoring.verdicts),
        "n_unscored": len(scoring.unscored),
    }
