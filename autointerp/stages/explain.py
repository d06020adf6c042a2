"""Stage 3: an explainer asks a judge what each feature stands for; explanations go to the journal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from autointerp.config.tree import Config
from autointerp.judges.client import Client
from autointerp.judges.registry import load_plugin
from autointerp.loop import explain_features
from autointerp.progress import Progress
from autointerp.records.verdict import Explanation
from autointerp.runs.journal import Journal
from autointerp.runs.layout import RunLayout
from autointerp.score.presets import apply_preset
from autointerp.stages.asking import ask_with
from autointerp.stages.evidence import read_all_evidence
from autointerp.workers import Progress as WorkProgress

__all__ = ["run"]


def run(config: Config, layout: RunLayout, progress: Progress) -> dict[str, Any]:
    """Explain every feature that can be scored; gives the facts for the manifest."""
    config = apply_preset(config)
    explainer = load_plugin("autointerp.explainers", config.explain.explainer)(config.explain)
    evidences = read_all_evidence(config, layout)

    async def explain(
        client: Client, journal: Journal, show: Callable[[WorkProgress], None]
    ) -> tuple[Explanation, ...]:
        journal.forget_explanations()
        return await explain_features(
            evidences,
            explainer=explainer,
            client=client,
            judge=config.explain.judge,
            seed=config.seed,
            n_workers=config.limits.max_concurrent,
            recorder=journal,
            on_progress=show,
        )

    explanations = ask_with(
        config.explain.judge, explain, config=config, layout=layout, progress=progress, label="explain"
    )
    n_failed = sum(explanation.text is None for explanation in explanations)
    if n_failed:
        progress.say(
            f"explain: {n_failed} of {len(explanations)} features got no explanation and will stand as unscored"
        )
    return {"prompt_hash": explainer.prompt_hash, "n_explanations": len(explanations), "n_failed": n_failed}
