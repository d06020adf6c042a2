"""How well context predicts a dictionary's firings; a property of the subject, not a score to rank dictionaries by."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import fmean

from autointerp.records.evidence import Evidence

__all__ = ["mean_context"]


def mean_context(evidences: Iterable[Evidence], dictionary: str) -> dict[str, float]:
    """Means `context_auroc` and `context_auroc_shuffled`, and `context_measurable_frac`, the share of features with
    one.

    Empty if no feature has one.
    """
    own = [evidence.context for evidence in evidences if evidence.dictionary == dictionary]
    known = [context for context in own if context is not None]
    if not known:
        return {}
    return {
        "context_auroc": fmean(context.auroc for context in known),
        "context_auroc_shuffled": fmean(context.shuffled_auroc for context in known),
        "context_measurable_frac": len(known) / len(own),
    }
