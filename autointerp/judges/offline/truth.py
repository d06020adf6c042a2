"""Right answers for test judges; a task's feature is the one that knows most passages."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from autointerp.errors import ConfigError
from autointerp.judges.offline.trial_answers import Trial, as_score_task
from autointerp.judges.tasks import HIGHEST, ExplainTask, Passage, ScoreTask, SimulateTask
from autointerp.records.evidence import Evidence
from autointerp.records.window import Window
from autointerp.stats.simulation import quantise

__all__ = ["Truth"]

_NAMED = re.compile(r"feature (\S+/\d+)")


class Truth:
    """Labels by feature, named `DICTIONARY/INDEX`."""

    def __init__(
        self,
        labels: Mapping[str, Mapping[Passage, bool]],
        *,
        shown: Mapping[str, Iterable[str]] | None = None,
        levels: Mapping[str, Mapping[Passage, int]] | None = None,
        promoted: Mapping[str, Mapping[str, bool]] | None = None,
        effects: Mapping[str, Iterable[str]] | None = None,
    ) -> None:
        """`labels`: passages of each feature; without a mark, they stand for any mark. `shown`: an explainer's texts;
        `effects`: tokens shown without text; `levels`: 0 to `HIGHEST` per marked token; `promoted`: vocabulary entries
        made more likely or less.
        """
        self._labels = {feature: dict(passages) for feature, passages in labels.items()}
        self._levels = {feature: dict(passages) for feature, passages in (levels or {}).items()}
        self._promoted = {feature: dict(entries) for feature, entries in (promoted or {}).items()}
        self._knowing: dict[str, list[str]] = {}
        for feature, passages in self._labels.items():
            for text in dict.fromkeys(passage.text for passage in passages):
                self._knowing.setdefault(text, []).append(feature)
        self._shown, self._effects = _by_text(shown or {}), _by_text(effects or {})
        self._knowing_entry: dict[str, list[str]] = {}
        for feature, entries in self._promoted.items():
            for text in entries:
                self._knowing_entry.setdefault(text, []).append(feature)

    @classmethod
    def of_passages(cls, labels: Mapping[Passage, bool]) -> Truth:
        """Key of a single feature."""
        return cls({"feature/0": labels})

    @classmethod
    def of_evidence(cls, evidences: Iterable[Evidence]) -> Truth:
        """Key with window labels by kind and token labels by activation."""
        labels: dict[str, dict[Passage, bool]] = {}
        levels: dict[str, dict[Passage, int]] = {}
        promoted: dict[str, dict[str, bool]] = {}
        shown: dict[str, list[str]] = {}
        effects: dict[str, list[str]] = {}
        for evidence in evidences:
            name = f"{evidence.dictionary}/{evidence.feature}"
            own = levels.setdefault(name, {})
            for window in evidence.select("score"):
                _add_levels(own, window, maximum=evidence.max_activation)
            labels[name] = {passage: level > 0 for passage, level in own.items()}
            labels[name] |= {Passage(window.text): window.is_firing for window in evidence.select("score")}
            promoted[name] = {effect.text: False for effect in evidence.bottom_logits}
            promoted[name] |= {effect.text: True for effect in evidence.top_logits}
            if evidence.pinned is not None:
                said = {e.text: False for e in evidence.pinned.lowered} | {e.text: True for e in evidence.pinned.raised}
                promoted[name] = said | promoted[name]
            shown[name] = ["".join(window.token_texts()) for window in evidence.select("explain")]
            shown[name] += sorted(_firing_tokens(evidence))
            pinned = (*evidence.pinned.raised, *evidence.pinned.lowered) if evidence.pinned else ()
            effects[name] = [effect.text for effect in (*evidence.top_logits, *evidence.bottom_logits, *pinned)]
        return cls(labels, shown=shown, levels=levels, promoted=promoted, effects=effects)

    @classmethod
    def read(cls, path: Path) -> Truth:
        """Raises ConfigError without evidence files."""
        from autointerp.records.evidence_file import read_evidence  # pandas: only when a test judge asks for it

        files = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
        if not files or not all(file.is_file() for file in files):
            raise ConfigError(f"evidence = '{path}' holds no .parquet file; give a run's evidence directory")
        return cls.of_evidence(evidence for file in files for evidence in read_evidence(file))

    def labels(self, task: ScoreTask) -> tuple[bool, ...]:
        """Right answers; False for unknown passages."""
        texts = [passage.text for passage in task.passages]
        if task.asks == "promotes":
            entries = self._promoted.get(self._most_known(texts, task.explanation, self._knowing_entry), {})
            return tuple(entries.get(text, False) for text in texts)
        known = self._labels.get(self._most_known(texts, task.explanation, self._knowing), {})
        return tuple(
            all(_label(known, passage.text, mark) for mark in passage.marks or (passage.mark,))
            for passage in task.passages
        )

    def levels(self, task: SimulateTask) -> tuple[int, ...]:
        """Activation level per token asked about; 0 where unknown."""
        known = self._levels.get(self._most_known([task.text], task.explanation, self._knowing), {})
        return tuple(known.get(Passage(task.text, mark), 0) for mark in task.marks)

    def trial_labels(self, task: Trial) -> tuple[bool, ...]:
        """Labels behind a trial; an unexplained feature is the one firing in most passages."""
        asked = as_score_task(task)
        if asked.asks == "promotes" or asked.explanation:
            return self.labels(asked)
        texts = [passage.text for passage in asked.passages]
        fires = {
            feature: tuple(_label(self._labels[feature], text, None) for text in texts)
            for feature in dict.fromkeys(feature for text in texts for feature in self._knowing.get(text, ()))
        }
        return max(sorted(fires.items()), key=lambda item: sum(item[1]), default=("", (False,) * len(texts)))[1]

    def feature_shown(self, task: ExplainTask) -> str | None:
        """Feature whose windows, or else tokens, are shown."""
        votes = Counter(feature for window in task.windows for feature in self._shown.get("".join(window.tokens), ()))
        if not votes:
            tokens = (*task.top_logits, *task.bottom_logits, *task.raised, *task.lowered)
            votes = Counter(feature for token in tokens for feature in self._effects.get(token, ()))
        return max(sorted(votes), key=lambda feature: votes[feature]) if votes else None

    @staticmethod
    def _most_known(texts: Sequence[str], explanation: str, knowing: Mapping[str, Sequence[str]]) -> str:
        """Feature that knows most texts; the one named in the explanation has a lead."""
        votes: Counter[str] = Counter()
        for text in texts:
            votes.update(knowing.get(text, ()))
        named = _NAMED.search(explanation)
        bonus = {named.group(1): len(texts) / 2} if named else {}
        return max(sorted(votes), key=lambda feature: votes[feature] + bonus.get(feature, 0.0), default="")


def _label(known: Mapping[Passage, bool], text: str, mark: tuple[int, int] | None) -> bool:
    return known.get(Passage(text, mark), known.get(Passage(text), False))


def _add_levels(levels: dict[Passage, int], window: Window, *, maximum: float) -> None:
    quantised = quantise(window.activations, maximum=maximum, n_levels=HIGHEST)
    pieces, owners = window.piece_spans(), window.owners()
    for index, level in enumerate(quantised.tolist()):
        # of tokens that share a character the strongest counts
        for span in {window.character_span(index), pieces[owners[index]]}:
            passage = Passage(window.text, span)
            levels[passage] = max(level, levels.get(passage, 0))


def _by_text(texts: Mapping[str, Iterable[str]]) -> dict[str, list[str]]:
    features: dict[str, list[str]] = {}
    for feature, own in texts.items():
        for text in dict.fromkeys(own):
            features.setdefault(text, []).append(feature)
    return features


def _firing_tokens(evidence: Evidence) -> set[str]:
    """Tokens firing in windows for explainers."""
    return {
        window.token_text(index)
        for window in evidence.select("explain", "top", "bin")
        for index, activation in enumerate(window.activations)
        if activation > 0.0
    }
