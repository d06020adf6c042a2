"""How well context predicts a dictionary's firings; a property of the subject, not a score to rank dictionaries by."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import fmean

from autointerp.records.evidence_book import Outlined

__all__ = ["mean_context"]


def mean_context(features: Iterable[Outlined], dictionary: str) -> dict[str, float]:
    """Means `context_auroc` and `context_auroc_shuffled`, and `context_measurable_frac`, the share of features with
    one.

    Empty if no feature has one.
    """
    own = [feature.context for feature in features if feature.dictionary == dictionary]
    known = [context for context in own if context is not None]
    if not known:
        return {}
    return {
        "context_auroc": fmean(context.auroc for context in known),
        "context_auroc_shuffled": fmean(context.shuffled_auroc for context in known),
        "context_measurable_frac": len(known) / len(own),
    }
