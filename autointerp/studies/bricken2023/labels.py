"""Short labels of features for figures: the tokens that hold most of their activation."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autointerp.studies.reading import Reading
from autointerp.subject.tokens import TokenText

__all__ = ["label_features"]

N_TOKENS = 3


def label_features(reading: Reading, text: TokenText, dictionary: str, features: NDArray[np.int64]) -> list[str]:
    """`INDEX: TOKENS`; a byte that is part of a character is written `~d8`."""
    codes: Any = reading.codes[dictionary][:, features]
    labels = []
    for place, feature in enumerate(features.tolist()):
        inside = slice(*codes.indptr[place : place + 2])
        totals = np.bincount(reading.token[codes.indices[inside]], weights=codes.data[inside])
        top = [token for token in np.argsort(-totals, kind="stable")[:N_TOKENS].tolist() if totals[token] > 0]
        labels.append(f"{feature}: {' '.join(_drawable(text.pieces[token]) for token in top)}")
    return labels


def _drawable(piece: bytes) -> str:
    """Without line ends, and with the code of what the font lacks; `$` would begin a formula."""
    shown = repr(piece.decode("utf-8", "backslashreplace").replace("\\x", "~"))[1:-1]
    return "".join(each if ord(each) in _charmap() else f"U+{ord(each):04X}" for each in shown).replace("$", r"\$")


@cache
def _charmap() -> Mapping[int, int]:
    from matplotlib.font_manager import findfont, get_font

    return get_font(findfont("DejaVu Sans")).get_charmap()
