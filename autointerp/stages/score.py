"""Stage 4: scorers ask judges where each explained feature fires, judge by judge; verdicts go to the journal."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from autointerp.config.tree import Config
from autointerp.errors import ConfigError
from autointerp.judges.engine.client import Client
from autointerp.progress import Progress
from autointerp.run import Run
from autointerp.runs.journal import Journal, Key
from autointerp.runs.layout import RunLayout
from autointerp.score.opening import open_scorer
from autointerp.score.presets import apply_preset
from autointerp.score.scorer import Scorer
from autointerp.scoring import Scoring, score_features
from autointerp.stages.asking import AskWith, ask_with, n_workers
from autointerp.stages.explanations import load_explanations
from autointerp.stages.looking import Looked, score_in_looks
from autointerp.workers import Tally

__all__ = ["run"]

_COUNTED = ("n_verdicts", "n_unscored", "n_reasked")


def run(config: Config, layout: RunLayout, progress: Progress, *, ask: AskWith = ask_with) -> dict[str, Any]:
    """Hold every explanation against held-out windows; returns the facts for the manifest."""
    config = apply_preset(config)
    asked: dict[str, list[Scorer]] = {spec: [] for spec in config.score.judges}
    for settings in config.score.scorers:
        scorer = open_scorer(settings, config.score)
        asked[config.score.judge_of(settings)].append(scorer)
    with progress.bar("score: read evidence"):
        evidences = Run(layout.root, config=config).open_evidence()
    explanations = load_explanations(config, layout, evidences, progress)

    if config.score.sequential is not None and layout.shard is not None:
        raise ConfigError("score.sequential looks at all features together; leave it out of runs in shards (--shard)")
    looked: dict[str, Looked] = {}

    async def score(spec: str, client: Client, journal: Journal, show: Callable[[Tally], None]) -> Scoring:
        done: set[Key] = set()
        if spec == config.score.judges[0]:  # those of the other judges are added
            done = journal.forget_verdicts()
        some = partial(
            score_features,
            # a resumed run first asks what is new
            evidences.with_last(done),
            explanations,
            explainers=[e.label or e.name for e in config.explain.explainers],
            scorers=asked[spec],
            client=client,
            judge=spec,
            seed=config.seed,
            shuffled_frac=config.controls.shuffled,
            control_fracs={"empty": config.controls.empty, "generic": config.controls.generic},
            only=layout.shard,
            n_workers=n_workers(config, client),
            recorder=journal,
        )
        if config.score.sequential is None:
            return await some(is_recorded_only=True, on_progress=show)
        looked[spec] = await score_in_looks(
            lambda wanted: some(wanted=wanted, on_progress=show),
            evidences=evidences,
            explanations=explanations,
            settings=config.score.sequential,
            scales={scorer.name: scorer.scale for scorer in asked[spec]},
            seed=config.seed,
        )
        return looked[spec].scoring

    scorings = [
        ask(
            spec,
            partial(score, spec),
            config=config,
            layout=layout,
            progress=progress,
            label="score" if len(asked) == 1 else f"score by {spec}",
        )
        for spec in asked
    ]
    return {
        "prompt_hashes": {scorer.name: scorer.prompt_hash for scorers in asked.values() for scorer in scorers},
        **{name: sum(getattr(scoring, name) for scoring in scorings) for name in _COUNTED},
        **(_looking(looked, progress) if looked else {}),
    }


def _looking(looked: dict[str, Looked], progress: Progress) -> dict[str, Any]:
    """What was asked about in looks and what that saved, by judge."""
    n_saved = 0
    for spec, result in looked.items():
        n_asked, n_left = (sum(f[key] for f in result.looks.values()) for key in ("n_asked", "n_saved_features"))
        saved = round(result.scoring.n_requests / n_asked * n_left) if n_asked else 0
        enough = f"{n_asked:,} of {n_asked + n_left:,} features were enough for {spec}"
        progress.say(f"score: {enough}; about {saved:,} requests saved")
        n_saved += saved
    return {
        "looks": {spec: result.looks for spec, result in looked.items()},
        "settled": {spec: result.pairs for spec, result in looked.items()},
        "n_saved_requests": n_saved,
    }
