"""States of an interrupted training on disk, in folders `state-NUMBER`."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import SafetensorError
from safetensors.torch import load_file

from sae_core.atomic import move_into_place, naming_the_path
from sae_core.distributed import ALONE, Ranks
from sae_core.errors import TrainingStateError
from sae_core.json_file import load_json
from sae_core.state import State, require_same
from sae_core.tensor_file import write_tensors

__all__ = ["STATE_SCHEMA", "CheckpointPlan", "SavedTraining", "StateKeeper", "remove_states"]

STATE_SCHEMA = 1
TRAINING = "training"
PREFIX = "state-"
PARTIAL = "partial-"


@dataclass(frozen=True, kw_only=True)
class CheckpointPlan:
    """Where and how often states are written; the end's state always is."""

    directory: Path | str
    every_s: float | None = 300.0  # None switches a rule off
    every_steps: int | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)  # JSON-ready origin; a state with others is refused


class SavedTraining(NamedTuple):
    """A saved state. stream: this rank's place; None if the training had ended."""

    training: State
    stream: State | None


class StateKeeper:
    """Writes and finds the states of one training.

    made_with: JSON-ready settings that a resumed state must share.
    """

    def __init__(self, plan: CheckpointPlan, *, made_with: Mapping[str, Any], ranks: Ranks = ALONE) -> None:
        self.plan = plan
        self.directory = Path(plan.directory)
        self.made_with = json.loads(json.dumps(made_with))
        self.ranks = ranks
        self._last_s = time.monotonic()

    def is_due(self, n_steps: int) -> bool:
        """Whether to write a state after step `n_steps`; the first rank's clock decides for all."""
        is_due = self.plan.every_steps is not None and n_steps % self.plan.every_steps == 0
        if self.plan.every_s is not None:
            is_due |= time.monotonic() - self._last_s >= self.plan.every_s
        return self.ranks.least(int(is_due) if self.ranks.is_first else 1)[0] == 1

    def save(self, n_steps: int, *, training: State, stream: State | None) -> None:
        """Write a state and remove older ones; every rank writes its stream, the first one the rest.

        Raises DictionaryWriteError for a full disk; older states stay.
        """
        # The state at the end has a name of its own and never takes the place of another one.
        name = f"{n_steps:012d}" if stream is not None else f"{n_steps:012d}-end"
        whole, partial = self.directory / f"{PREFIX}{name}", self.directory / f"{PARTIAL}{name}"
        with naming_the_path(whole):
            if self.ranks.is_first:
                shutil.rmtree(partial, ignore_errors=True)
                partial.mkdir(parents=True)
                facts = {
                    "schema_version": STATE_SCHEMA,
                    "made_with": self.made_with,
                    "has_stream": stream is not None,
                    "training": training.facts,
                }
                _write(partial, TRAINING, State(facts, training.tensors))
            self.ranks.wait()
            if stream is not None:
                _write(partial, self._stream_name, stream)
            self.ranks.wait()
            if self.ranks.is_first:
                move_into_place(partial, whole)  # a kill at any moment leaves one whole state
                _remove_all_but(self.directory, whole)
        self._last_s = time.monotonic()

    def load(self) -> SavedTraining | None:
        """The newest state, or None. Raises TrainingStateError for one damaged, of another schema or of other
        settings."""
        states = sorted(self.directory.glob(f"{PREFIX}*"))
        if not states:
            return None
        newest = states[-1]
        anew = f"delete {self.directory} to start anew"
        facts, tensors = _read(newest, TRAINING)
        if facts.get("schema_version") != STATE_SCHEMA:
            raise TrainingStateError(
                f"{newest} has schema version {facts.get('schema_version')!r}, this sae_core reads {STATE_SCHEMA}; "
                f"go on with the version that wrote it, or {anew}"
            )
        what, fix = f"the interrupted training in {newest}", f"Restore the values, or {anew}"
        require_same(facts["made_with"], self.made_with, what=what, fix=fix)
        stream = _read(newest, self._stream_name) if facts["has_stream"] else None
        return SavedTraining(State(facts["training"], tensors), stream)

    def forget(self) -> None:
        if self.ranks.is_first:
            remove_states(self.directory)
        self.ranks.wait()

    @property
    def _stream_name(self) -> str:
        return f"stream-{self.ranks.index}"


def remove_states(directory: Path | str) -> None:
    """Remove the states of a training, and the folder if empty."""
    folder = Path(directory)
    _remove_all_but(folder, None)
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def _remove_all_but(directory: Path, kept: Path | None) -> None:
    for pattern in (f"{PARTIAL}*", f"{PREFIX}*"):
        for folder in directory.glob(pattern):
            if folder != kept:
                shutil.rmtree(folder, ignore_errors=True)


def _write(folder: Path, name: str, state: State) -> None:
    if state.tensors:
        write_tensors(folder / f"{name}.safetensors", state.tensors)
    content = {"facts": state.facts, "tensors": sorted(state.tensors)}
    (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")


def _read(folder: Path, name: str) -> State:
    path = folder / f"{name}.json"
    try:
        content = load_json(path)
        facts, names = content["facts"], content["tensors"]
        path = folder / f"{name}.safetensors"
        tensors = load_file(path) if names else {}
        if sorted(tensors) != names:
            raise ValueError(f"tensors {', '.join(names)} expected")
        return State(facts, tensors)
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise TrainingStateError(
            f"{path}: no whole state of a training ({reason}); delete {folder} to start anew"
        ) from error
