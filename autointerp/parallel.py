"""Whether this process is one of several that `torchrun` started, by its environment variables."""

from __future__ import annotations

import os

from autointerp.errors import ConfigError

__all__ = ["is_follower", "is_parallel", "require_training"]


def is_parallel() -> bool:
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def is_follower() -> bool:
    """Whether this process only helps the first one to train, and neither writes nor prints."""
    return is_parallel() and int(os.environ.get("RANK", "0")) > 0


def require_training(last_stage: str) -> None:
    """Raise ConfigError where several processes were started for more than training."""
    if is_parallel() and last_stage != "train":
        raise ConfigError(
            f"torchrun started {os.environ['WORLD_SIZE']} processes, but they share the stage 'train' only; run "
            "`torchrun --nproc-per-node N -m autointerp train CONFIG`, then `autointerp run CONFIG` without torchrun"
        )
