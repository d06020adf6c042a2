"""Stage 3: explainers ask a judge what each feature stands for; explanations go to the journal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from autointerp.config.tree import Config
from autointerp.explain.opening import open_explainer
from autointerp.explaining import explain_features
from autointerp.judges.engine.client import Client
from autointerp.progress import Progress
from autointerp.run import Run
from autointerp.runs.journal import Journal
from autointerp.runs.layout import RunLayout
from autointerp.score.presets import apply_preset
from autointerp.stages.asking import AskWith, ask_with, n_workers
from autointerp.workers import Tally

__all__ = ["run"]


def run(config: Config, layout: RunLayout, progress: Progress, *, ask: AskWith = ask_with) -> dict[str, Any]:
    config = apply_preset(config)
    explainers = [open_explainer(entry, config.explain) for entry in config.explain.explainers]
    with progress.bar("explain: read evidence"):
        evidences = Run(layout.root, config=config).open_evidence()
        if (shard := layout.shard) is not None:
            evidences = evidences.where(lambda e: e.feature in shard)

    tally = Tally(0)

    async def explain(client: Client, journal: Journal, show: Callable[[Tally], None]) -> None:
        def look(state: Tally) -> None:
            nonlocal tally
            tally = state
            show(state)

        # a resumed run first asks what is new: what it has is answered while it waits for that
        done = journal.forget_explanations()
        await explain_features(
            evidences.with_last(done),
            explainers=explainers,
            client=client,
            judge=config.explain.judge,
            seed=config.seed,
            n_workers=n_workers(config, client),
            recorder=journal,
            is_recorded_only=True,
            on_progress=look,
        )

    ask(config.explain.judge, explain, config=config, layout=layout, progress=progress, label="explain")
    missing = [(name, n) for (name, reason), n in tally.failures.items() if reason == "missing"]
    for name, n in sorted(missing):
        progress.say(f"explain: explainer '{name}' lacks what it explains from for {n} of {len(evidences)} features")
    if n_failed := tally.failures.total():
        progress.say(
            f"explain: {n_failed} of {tally.n_explanations} explanations could not be had; they stand unscored"
        )
    return {
        "prompt_hashes": {explainer.name: explainer.prompt_hash for explainer in explainers},
        "n_explanations": tally.n_explanations,
        "n_failed": n_failed,
        "n_reasked": tally.n_reasked,
    }
