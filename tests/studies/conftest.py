"""The tiny subjects of tests/subject, and texts with marks of the concepts."""

from __future__ import annotations

import json
from pathlib import Path

from autointerp.seeds import stream
from tests.subject.conftest import byte_tokenizer, raw_models, subjects

__all__ = ["WORDS", "byte_tokenizer", "raw_models", "save_marked_corpus", "subjects"]

WORDS = ("the", "'", "dog", "ran", "it's", "far", "away")


def save_marked_corpus(path: Path, *, mark: str = "'", n_documents: int = 800) -> Path:
    """Short documents with owners and asides."""
    lines = []
    for index in range(n_documents):
        rng = stream(0, "marked", index)
        words = [str(word) for word in rng.choice(["river", "stone", "dog", "bridge", "garden", "winter"], 24)]
        words[3] += f"{mark}s"
        words[11] += f"{mark}s"
        words[17] = f"({words[17]})" if mark else words[17]
        lines.append(json.dumps({"text": " ".join(words) + "."}))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
