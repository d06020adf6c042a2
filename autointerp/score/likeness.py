"""Windows that read most like others, by their tokens."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from autointerp.prompting.choosing import distinct
from autointerp.records.window import Window

__all__ = ["nearest_texts"]


def nearest_texts(windows: Sequence[Window], to: Sequence[Window], n: int) -> list[Window]:
    """The `n` windows nearest to the mean of `to`, nearest first, ties by id, none overlapping or repeating another.

    Cosine of TF-IDF vectors of token ids (Sparck Jones 1972).
    """
    from sklearn.feature_extraction.text import TfidfVectorizer  # takes a second to import, and few runs need it

    ordered = sorted(windows, key=lambda window: window.id)
    if not ordered or not to:
        return []
    vectors = TfidfVectorizer(analyzer=_tokens).fit_transform([*to, *ordered])  # pyright: ignore[reportArgumentType]
    centre = np.asarray(vectors[: len(to)].mean(axis=0)).ravel()
    likeness = np.asarray(vectors[len(to) :] @ centre).ravel()
    return distinct(ordered[place] for place in np.argsort(-likeness, kind="stable"))[:n]


def _tokens(window: Window) -> tuple[int, ...]:
    return window.token_ids
