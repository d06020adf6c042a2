"""The runs of one board: found in folders, each once, under labels of their own."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from autointerp.errors import ConfigError
from autointerp.run import Run
from autointerp.safe_text import safe_line
from autointerp.small_files import read_text

__all__ = ["gather_runs"]


def gather_runs(paths: Sequence[Path], *, has_begun: bool = False) -> dict[str, Run]:
    """Runs by label: the folder's name, after as many of the folders above it as tell it from the others.

    A path that is no run stands for the runs in it that have a leaderboard, or with `has_begun` for all. A run given
    twice, also as a copy, counts once. Raises ConfigError for a folder without a run, ArtefactError for a path that
    does not exist.
    """
    runs: dict[str, Run] = {}
    for path in paths:
        for run in _runs_at(path, has_begun=has_begun):
            runs.setdefault(_content(run), run)
    return dict(zip(_labels([run.path.resolve() for run in runs.values()]), runs.values(), strict=True))


def _runs_at(path: Path, *, has_begun: bool) -> list[Run]:
    run = Run(path)
    if run.layout.is_run() or run.layout.summary.is_file():
        return [run]
    inside = [Run(folder) for folder in sorted(path.iterdir()) if folder.is_dir()]
    found = [each for each in inside if each.layout.summary.is_file() or (has_begun and each.layout.is_run())]
    if not found:
        what = "" if has_begun else " with a leaderboard"
        raise ConfigError(f"{path} is no run and holds none{what}; name folders given to `run --out`")
    return found


def _content(run: Run) -> str:
    """The same for copies of a run."""
    digest = hashlib.sha256()
    for path in (run.layout.summary, run.layout.manifest):
        digest.update((read_text(path) if path.exists() else str(path.resolve())).encode())
    return digest.hexdigest()


def _labels(paths: Sequence[Path]) -> list[str]:
    def name(path: Path, n_parts: int) -> str:
        return safe_line("/".join(path.parts[-n_parts:]))

    labels = []
    for path in paths:
        n_parts = 1
        while n_parts < len(path.parts) and [name(other, n_parts) for other in paths].count(name(path, n_parts)) > 1:
            n_parts += 1
        labels.append(name(path, n_parts))
    return labels
