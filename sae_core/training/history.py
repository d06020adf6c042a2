"""The course of a training as records, and their file `history.jsonl`.

Takes step records, writes one JSON object per line under a temporary name that is then moved into place. Torch-free;
knows nothing of how the numbers came about.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from sae_core.atomic import replace_file
from sae_core.errors import DictionaryFormatError
from sae_core.json_file import load_text, parse_json

__all__ = ["HISTORY_FILE", "StepRecord", "read_history", "write_history"]

HISTORY_FILE = "history.jsonl"


@dataclass(frozen=True)
class StepRecord:
    """One recorded training step, measured on that step's batch before the weights move.

    step: from 1; n_tokens: activations seen so far; loss: what was minimised; mse: mean squared error per coordinate in
    the activations' own units; fvu: squared error over that of predicting the batch mean; l0: mean number of active
    features; l1: mean sum of the codes, in the activations' own units; dead_frac: share of features silent for
    `dead_after_tokens`; n_resampled: features revived since the record before; learning_rate: of this step.
    """

    step: int
    n_tokens: int
    loss: float
    mse: float
    fvu: float
    l0: float
    l1: float
    dead_frac: float
    n_resampled: int
    learning_rate: float


def write_history(records: Iterable[StepRecord], directory: Path | str) -> Path:
    """Write `history.jsonl` in `directory` (made where missing) and return its path."""
    path = Path(directory) / HISTORY_FILE
    lines = [json.dumps(asdict(record)) + "\n" for record in records]
    replace_file(path, "".join(lines).encode())
    return path


def read_history(directory: Path | str) -> list[StepRecord]:
    """The records of `history.jsonl` in `directory`. Raises DictionaryFormatError when it is missing or damaged."""
    path = Path(directory) / HISTORY_FILE
    try:
        return [StepRecord(**parse_json(line)) for line in load_text(path).splitlines()]
    except (OSError, ValueError, TypeError) as error:
        raise DictionaryFormatError(f"{path}: not a readable training history ({error}); train again") from error
