"""Encoded documents packed into contexts of fixed length: BOS, then the next tokens, with BOS between documents."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["epoch_contexts", "pack_contexts"]


def pack_contexts(documents: Sequence[np.ndarray], *, n_positions: int, bos: int) -> np.ndarray:
    """[n_contexts, n_positions] int64 over all documents in order, without a last stretch shorter than a context."""
    pieces = [np.concatenate([np.asarray(document, dtype=np.int64), [bos]]) for document in documents]
    flat = np.concatenate(pieces) if pieces else np.empty(0, dtype=np.int64)
    n_contexts = flat.size // (n_positions - 1)
    body = flat[: n_contexts * (n_positions - 1)].reshape(n_contexts, n_positions - 1)
    return np.concatenate([np.full((n_contexts, 1), bos, dtype=np.int64), body], axis=1)


def epoch_contexts(
    documents: Sequence[np.ndarray], *, n_positions: int, bos: int, generator: np.random.Generator
) -> np.ndarray:
    """As `pack_contexts`, documents and contexts shuffled: cuts fall elsewhere each epoch."""
    order = generator.permutation(len(documents))
    contexts = pack_contexts([documents[index] for index in order], n_positions=n_positions, bos=bos)
    return contexts[generator.permutation(contexts.shape[0])]
