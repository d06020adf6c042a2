"""What explainers give judges that calculate, beside the windows shown: token counts and random silent windows."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from autointerp.judges.tasks import ExplainTask, TokenCount
from autointerp.prompting.marking import show
from autointerp.records.evidence import Evidence

__all__ = ["with_counts"]

_PART = "\ufffd"  # a token with part of a character, which no window shows by itself


def with_counts(task: ExplainTask, evidence: Evidence) -> ExplainTask:
    """The task with the counts and random silent windows of role `explain`."""
    n_firing, n_tokens = Counter[str](), Counter[str]()
    for use in evidence.token_uses:
        if _PART not in use.text:
            n_firing[use.text] += use.n_firing
            n_tokens[use.text] += use.n_tokens
    counts = tuple(TokenCount(text, n, n_tokens[text]) for text, n in n_firing.items())
    background = tuple(map(show, evidence.select("explain", "random")))
    return replace(task, counts=counts, background=background)
