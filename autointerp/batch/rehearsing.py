"""A stage with a stand-in for the client, to collect its requests or end it without asking."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Set
from typing import Any, Protocol, TypeVar, cast

from autointerp.config.tree import Config
from autointerp.progress import Progress, SilentProgress
from autointerp.runs.journal import Key
from autointerp.runs.layout import RunLayout
from autointerp.stages import explain, score
from autointerp.stages.asking import AskWith
from autointerp.workers import Asker, Recorder, Tally

__all__ = ["NOWHERE", "StageRecorder", "run_stage"]

T = TypeVar("T")

_STAGES: dict[str, Callable[..., dict[str, Any]]] = {"explain": explain.run, "score": score.run}


class StageRecorder(Recorder, Protocol):
    """Keeps a stage's results and can drop earlier ones, as `runs.journal.Journal`."""

    def forget_explanations(self) -> Set[Key]: ...

    def forget_verdicts(self) -> Set[Key]: ...


def run_stage(
    config: Config,
    layout: RunLayout,
    stage: str,
    *,
    client: Asker,
    recorder: StageRecorder,
    progress: Progress,
    note: Callable[[], str] = str,
) -> dict[str, Any]:
    """Facts of `stage` for the manifest, which stays untouched. `note` is shown beside the bar. Raises as the stage."""

    def ask(spec: str, step: Callable[..., Coroutine[Any, Any, T]], *, label: str, **_: Any) -> T:
        async def work() -> T:
            with progress.bar(label, unit="features") as bar:

                def show(state: Tally) -> None:
                    bar.update(state.n_done, total=state.n_features, note=note())

                return await step(client, recorder, show)

        return asyncio.run(work())

    return _STAGES[stage](config, layout, SilentProgress(), ask=cast(AskWith, ask))


class _Nowhere:
    """Drops results of a rehearsal, which the journal would take for real."""

    def save_explanations(self, explanations: object) -> None:
        return

    def save_verdicts(self, verdicts: object) -> None:
        return

    def save_unscored(self, unscored: object) -> None:
        return

    def forget_explanations(self) -> Set[Key]:
        return frozenset()

    def forget_verdicts(self) -> Set[Key]:
        return frozenset()

    def flush(self) -> None:
        return


NOWHERE: StageRecorder = _Nowhere()
