"""Training charts on Weights & Biases, an optional package.

Only records and facts are sent, beside wandb's list of installed packages: no environment, code, git state, command
line or console output, hence no key.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from sae_core.errors import MissingPackageError
from sae_core.training.history import StepRecord

__all__ = ["WandbLog"]

WandbMode = Literal["online", "offline"]


class WandbLog:
    """One run on Weights & Biases; `record` serves as `on_step` of `train_dictionaries`.

    mode: "offline" writes into `directory` only; None follows WANDB_MODE. Raises MissingPackageError without wandb.
    """

    def __init__(
        self,
        *,
        project: str,
        name: str,
        facts: Mapping[str, Any],
        directory: Path | str,
        mode: WandbMode | None = None,
    ) -> None:
        try:
            wandb = importlib.import_module("wandb")
        except ImportError as error:
            raise MissingPackageError(
                f"logging to the wandb project '{project}' needs the package wandb ({error}); "
                "run `pip install wandb`, or leave the project out"
            ) from error
        Path(directory).mkdir(parents=True, exist_ok=True)
        silent = wandb.Settings(
            quiet=True,
            console="off",
            disable_git=True,
            disable_code=True,
            save_code=False,
            x_disable_meta=True,
            x_disable_stats=True,
        )
        self._run = wandb.init(
            project=project, name=name, config=dict(facts), dir=str(directory), mode=mode, settings=silent
        )
        self._charted: set[str] = set()

    def record(self, name: str, record: StepRecord) -> None:
        if name not in self._charted:
            self._run.define_metric(f"{name}/step")
            self._run.define_metric(f"{name}/*", step_metric=f"{name}/step")
            self._charted.add(name)
        self._run.log({f"{name}/{field}": value for field, value in asdict(record).items()})

    def close(self, *, has_failed: bool = False) -> None:
        """End the run and wait until everything is sent or written."""
        self._run.finish(exit_code=int(has_failed))

    def __enter__(self) -> WandbLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(has_failed=kind is not None)
