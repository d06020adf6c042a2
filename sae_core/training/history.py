"""The records of a training, and their file `history.jsonl`."""

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
    """One recorded step, measured on its batch before the weights move."""

    step: int  # from 1
    n_tokens: int  # activations so far
    loss: float
    mse: float  # per coordinate, in the activations' units
    fvu: float  # squared error over that of the batch mean
    l0: float  # mean number of active features
    l1: float  # mean sum of codes, in the activations' units
    dead_frac: float  # share of features silent for `dead_after_tokens`
    n_resampled: int  # features revived since the last record
    learning_rate: float


def write_history(records: Iterable[StepRecord], directory: Path | str) -> Path:
    """Write `history.jsonl` in `directory` (created if missing) and return its path."""
    path = Path(directory) / HISTORY_FILE
    lines = [json.dumps(asdict(record)) + "\n" for record in records]
    replace_file(path, "".join(lines).encode())
    return path


def read_history(directory: Path | str) -> list[StepRecord]:
    """The records in `directory`. Raises DictionaryFormatError if missing or damaged."""
    path = Path(directory) / HISTORY_FILE
    try:
        return [StepRecord(**parse_json(line)) for line in load_text(path).splitlines()]
    except (OSError, ValueError, TypeError) as error:
        raise DictionaryFormatError(f"{path}: not a readable training history ({error}); train again") from error
