"""Finished runs without torch, small enough to make on the spot, for tests of sites."""

from __future__ import annotations

from pathlib import Path

from autointerp import pipeline
from autointerp.progress import SilentProgress
from tests.stages.harvested import make_config, make_run

__all__ = ["finish_run", "rescore_run"]

_ASKED = ("score.judge='pattern'", "explain.judge='pattern'")


def finish_run(root: Path, *overrides: str, n_features: int = 4) -> Path:
    """A run of two dictionaries and two scorers, as far as its report."""
    config = make_config(*_ASKED, *overrides)
    make_run(root, config, n_features=n_features)
    pipeline.run(config, out=root, progress=SilentProgress())
    return root


def rescore_run(run: Path, root: Path, *overrides: str) -> Path:
    """The run asked again with other settings."""
    pipeline.rescore(run, make_config(*_ASKED, *overrides), out=root, progress=SilentProgress())
    return root
