"""The key to the questions, for test judges: which feature a scoring task is about, and the right answers.

A scoring task does not say which feature it asks about, so the key finds the feature that knows most of the
task's passages; an explanation that names its feature, as the oracle writes them, settles ties. It takes labels
by feature, or reads them from a run's evidence.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from autointerp.errors import ConfigError
from autointerp.judges.tasks import ExplainTask, Passage, ScoreTask
from autointerp.records.evidence import Evidence

__all__ = ["Truth"]

_NAMED = re.compile(r"feature (\S+/\d+)")


class Truth:
    """Labels by feature. A feature's name is `DICTIONARY/INDEX`."""

    def __init__(
        self, labels: Mapping[str, Mapping[Passage, bool]], *, shown: Mapping[str, Iterable[str]] | None = None
    ) -> None:
        """`labels` gives each feature's passages; one without a mark stands for any mark in its text.

        `shown` gives the texts an explainer may be shown for each feature.
        """
        self._labels = {feature: dict(passages) for feature, passages in labels.items()}
        self._knowing: dict[str, list[str]] = {}
        for feature, passages in self._labels.items():
            for text in dict.fromkeys(passage.text for passage in passages):
                self._knowing.setdefault(text, []).append(feature)
        self._shown: dict[str, list[str]] = {}
        for feature, texts in (shown or {}).items():
            for text in texts:
                self._shown.setdefault(text, []).append(feature)

    @classmethod
    def of_passages(cls, labels: Mapping[Passage, bool]) -> Truth:
        """The key of a single feature."""
        return cls({"feature/0": labels})

    @classmethod
    def of_evidence(cls, evidences: Iterable[Evidence]) -> Truth:
        """The key of all features of some evidence: a window fires if its kind says so, whatever its mark."""
        labels: dict[str, dict[Passage, bool]] = {}
        shown: dict[str, list[str]] = {}
        for evidence in evidences:
            name = f"{evidence.dictionary}/{evidence.feature}"
            labels[name] = {Passage(window.text): window.is_firing for window in evidence.select("score")}
            shown[name] = ["".join(window.token_texts()) for window in evidence.select("explain")]
        return cls(labels, shown=shown)

    @classmethod
    def read(cls, path: Path) -> Truth:
        """The key in one evidence file or a directory of them. Raises ConfigError when there is none."""
        from autointerp.records.evidence_file import read_evidence  # pandas: only when a test judge asks for it

        files = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
        if not files or not all(file.is_file() for file in files):
            raise ConfigError(f"evidence = '{path}' holds no .parquet file; give a run's evidence directory")
        return cls.of_evidence(evidence for file in files for evidence in read_evidence(file))

    def labels(self, task: ScoreTask) -> tuple[bool, ...]:
        """The right answers; False for a passage that the task's feature does not know."""
        known = self._labels.get(self._feature_of(task), {})
        return tuple(known.get(passage, known.get(Passage(passage.text), False)) for passage in task.passages)

    def feature_shown(self, task: ExplainTask) -> str | None:
        """The feature whose windows an explainer is shown, where the key knows it."""
        votes = Counter(feature for window in task.windows for feature in self._shown.get("".join(window.tokens), ()))
        return max(sorted(votes), key=lambda feature: votes[feature]) if votes else None

    def _feature_of(self, task: ScoreTask) -> str:
        votes: Counter[str] = Counter()
        for passage in task.passages:
            votes.update(self._knowing.get(passage.text, ()))
        named = _NAMED.search(task.explanation)
        bonus = {named.group(1): len(task.passages) / 2} if named else {}
        return max(sorted(votes), key=lambda feature: votes[feature] + bonus.get(feature, 0.0), default="")
