"""The state of an unfinished training of the builtin subject on disk, bound to one recipe and corpus by `identity`."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from autointerp.errors import ArtefactError

__all__ = ["TrainingState", "load_training_state", "save_training_state"]


@dataclass(slots=True)
class TrainingState:
    step: int = 0
    train_s: float = 0.0


def save_training_state(
    path: Path, state: TrainingState, *, model: nn.Module, optimiser: torch.optim.Optimizer, identity: str
) -> None:
    """Write everything the next step needs, atomically."""
    temporary = path.with_suffix(".tmp")
    torch.save(
        {
            "identity": identity,
            "step": state.step,
            "train_s": state.train_s,
            "model": model.state_dict(),
            "optimiser": optimiser.state_dict(),
        },
        temporary,
    )
    temporary.replace(path)


def load_training_state(
    path: Path, *, model: nn.Module, optimiser: torch.optim.Optimizer, identity: str
) -> TrainingState:
    """Fill model and optimiser from `path`, or start at step 0 where there is none.

    Raises ArtefactError where the file is damaged or belongs to another recipe or corpus.
    """
    if not path.exists():
        return TrainingState()
    try:
        saved = torch.load(path, weights_only=True)
    except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise ArtefactError(f"{path}: the checkpoint is damaged: delete it to start anew") from error
    if saved["identity"] != identity:
        raise ArtefactError(f"{path}: the checkpoint is of another recipe or corpus: delete it to start anew")
    model.load_state_dict(saved["model"])
    optimiser.load_state_dict(saved["optimiser"])
    return TrainingState(step=saved["step"], train_s=saved["train_s"])
