"""Short labels of features for figures: the tokens that hold most of their activation."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from autointerp.studies.reading import Reading
from autointerp.subject.tokens import TokenText

__all__ = ["label_features"]

N_TOKENS = 3


def label_features(reading: Reading, text: TokenText, dictionary: str, features: NDArray[np.int64]) -> list[str]:
    """`INDEX: TOKENS`, without characters that the figures' font lacks."""
    codes: Any = reading.codes[dictionary][:, features]
    labels = []
    for place, feature in enumerate(features.tolist()):
        inside = slice(*codes.indptr[place : place + 2])
        totals = np.bincount(reading.token[codes.indices[inside]], weights=codes.data[inside])
        top = [token for token in np.argsort(-totals, kind="stable")[:N_TOKENS].tolist() if totals[token] > 0]
        tokens = " ".join(repr(text.display(token))[1:-1] for token in top)
        labels.append(f"{feature}: {_drawable(tokens)}")
    return labels


def _drawable(text: str) -> str:
    shown = "".join(character if ord(character) < 0x250 else "?" for character in text)
    return shown.replace("$", r"\$")
