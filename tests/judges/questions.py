"""Small requests for tests of judges and of what stands around them."""

from __future__ import annotations

from typing import Any

from autointerp.config.asking import LimitsConfig
from autointerp.judges.engine.limits import RetrySchedule
from autointerp.judges.judge import Message, Request
from autointerp.judges.tasks import Passage, ScoreTask

__all__ = ["FAST", "limits", "question"]

FAST = RetrySchedule(first_delay_s=0.002, max_delay_s=0.01, dead_after_s=0.02)
"""A schedule for tests: milliseconds."""


def question(text: str = "q", **changes: Any) -> Request:
    """A scoring request about two passages; `text` makes it different from others."""
    task = ScoreTask(f"about {text}", (Passage(f"{text} one"), Passage(f"{text} two")))
    return Request(
        task, (Message("system", "Judge."), Message("user", f"Judge {text}.")), **{"max_tokens": 50, **changes}
    )


def limits(**changes: Any) -> LimitsConfig:
    return LimitsConfig(**{"timeout_s": 10.0, **changes})
