"""Who does the work of a run."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from autointerp.config.section import Positive, Section

__all__ = ["EngineConfig"]


class EngineConfig(Section):
    """Who does the work. Changes no result: a run may go on with another engine or number of workers."""

    kind: Literal["local", "ray"] = "local"
    """`local`: processes of this machine, with one worker this one. `ray`: tasks of a Ray cluster whose nodes all see
    the run's directory, or reach its address."""
    workers: Positive | None = None
    """Parts that harvest, explaining, scoring and, with stored activations, training are divided into. None: one, but
    for the judge `pattern` and many features: explaining and scoring then take a process for each processor."""
    address: str | None = None
    """With `ray`: the cluster's head (HOST:PORT). None takes $RAY_ADDRESS, else starts one on this machine."""

    @model_validator(mode="after")
    def _check(self) -> EngineConfig:
        if self.address is not None and self.kind != "ray":
            raise ValueError(f"address = '{self.address}' is a Ray cluster's; set kind = 'ray' or leave it out")
        return self

    @property
    def is_in_process(self) -> bool:
        return self.kind == "local" and self.n_workers == 1

    @property
    def n_workers(self) -> int:
        return self.workers or 1
