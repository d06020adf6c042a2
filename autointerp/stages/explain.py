"""Stage 3: explainers ask a judge what each feature stands for; explanations go to the journal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from autointerp.config.tree import Config
from autointerp.explain.opening import open_explainer
from autointerp.explaining import explain_features
from autointerp.judges.engine.client import Client
from autointerp.progress import Progress
from autointerp.records.verdict import Explanation
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
        evidences = [
            e for e in Run(layout.root, config=config).evidence() if layout.shard is None or e.feature in layout.shard
        ]

    reasked: list[int] = [0]

    async def explain(client: Client, journal: Journal, show: Callable[[Tally], None]) -> tuple[Explanation, ...]:
        def look(state: Tally) -> None:
            reasked[:] = [state.n_reasked]
            show(state)

        journal.forget_explanations()
        return await explain_features(
            evidences,
            explainers=explainers,
            client=client,
            judge=config.explain.judge,
            seed=config.seed,
            n_workers=n_workers(config, client),
            recorder=journal,
            on_progress=look,
        )

    explanations = ask(config.explain.judge, explain, config=config, layout=layout, progress=progress, label="explain")
    missing = Counter(explanation.explainer for explanation in explanations if explanation.failure == "missing")
    for name, n in sorted(missing.items()):
        progress.say(f"explain: explainer '{name}' lacks what it explains from for {n} of {len(evidences)} features")
    n_failed = sum(explanation.text is None for explanation in explanations)
    if n_failed:
        progress.say(f"explain: {n_failed} of {len(explanations)} explanations could not be had; they stand unscored")
    return {
        "prompt_hashes": {explainer.name: explainer.prompt_hash for explainer in explainers},
        "n_explanations": len(explanations),
        "n_failed": n_failed,
        "n_reasked": reasked[0],
    }
