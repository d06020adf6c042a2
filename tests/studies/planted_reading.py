"""Readings made on the spot, without a subject: texts cut into tokens, and codes that are given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from autointerp.studies.reading import Reading

__all__ = ["reading_of"]


def reading_of(
    documents: Sequence[Sequence[bytes]],
    *,
    codes: Mapping[str, NDArray[np.float32]] | None = None,
    neurons: NDArray[np.float32] | None = None,
    names: Sequence[str] | None = None,
) -> Reading:
    """Documents as their tokens' bytes; equal bytes are one token."""
    pieces = [piece for document in documents for piece in document]
    kinds = {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}
    number = np.repeat(np.arange(len(documents)), [len(document) for document in documents])
    ends = [np.cumsum([len(piece) for piece in document]) for document in documents]
    end = np.concatenate(ends).astype(np.int64)
    has_next = np.append(np.diff(number) == 0, False)
    return Reading(
        token=np.array([kinds[piece] for piece in pieces]),
        document=number,
        start=end - np.array([len(piece) for piece in pieces]),
        end=end,
        has_next=has_next,
        documents=tuple(names or (f"document {place}" for place in range(len(documents)))),
        texts=tuple(b"".join(document) for document in documents),
        codes={name: sparse.csc_array(values) for name, values in (codes or {}).items()},
        neurons=neurons,
    )
