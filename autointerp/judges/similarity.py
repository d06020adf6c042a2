"""Replies with cosines between an explanation and passages."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np

from autointerp.errors import JudgeStopped
from autointerp.judges.judge import Reply, Request, Usage
from autointerp.judges.tasks import SimilarityTask

__all__ = ["compared_texts", "similarity_reply", "similarity_task"]


def similarity_task(request: Request, *, judge: str) -> SimilarityTask:
    """Raises JudgeStopped for another task."""
    if isinstance(request.task, SimilarityTask):
        return request.task
    raise JudgeStopped(
        f"judge '{judge}' compares texts and answers nothing else; give it to the scorer 'embedding' alone "
        "(judge = ... in its own settings)"
    )


def compared_texts(task: SimilarityTask, *, query_prefix: str, passage_prefix: str) -> list[str]:
    """The explanation, then the passages."""
    texts = [query_prefix + task.explanation, *(passage_prefix + passage.text for passage in task.passages)]
    # an empty text has no embedding: a space
    return [text.encode("utf-8", errors="replace").decode() or " " for text in texts]


def similarity_reply(
    vectors: Sequence[Sequence[float]] | np.ndarray, *, model: str, usage: Usage | None = None
) -> Reply:
    """Cosines with the first vector; 0 for a zero vector. Raises ValueError for unequal lengths or non-finite
    values.
    """
    matrix = np.asarray(vectors, dtype=np.float64)
    if matrix.ndim != 2 or not np.isfinite(matrix).all():
        raise ValueError("embeddings are no vectors of one length, all of numbers")
    norms = np.linalg.norm(matrix, axis=1, keepdims=True)
    unit = np.divide(matrix, norms, out=np.zeros_like(matrix), where=norms > 0)
    cosines = [round(float(value), 9) for value in np.clip(unit[1:] @ unit[0], -1.0, 1.0)]
    return Reply(
        text=json.dumps(cosines),
        model=model,
        usage=usage or Usage(),
        probabilities=tuple((1.0 + cosine) / 2.0 for cosine in cosines),
    )
