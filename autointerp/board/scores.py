"""Rows of the table of scores: one per sampled feature and scorer, independent of the order of the records."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import pyarrow as pa

from autointerp.board.borrowed import Borrowed
from autointerp.board.feature_records import FeatureRecords, by_feature, iter_records
from autointerp.board.level_figures import common_density
from autointerp.board.score_row import SCORE_SCHEMA, score_feature
from autointerp.board.score_table import ScoreGroup
from autointerp.errors import ArtefactError
from autointerp.records.evidence import Evidence
from autointerp.records.verdict import NO_EXPLAINER, Explanation, Unscored, Verdict
from autointerp.score.scorer import Scale

__all__ = ["RowMaker", "all_groups", "build_scores", "group_verdicts", "index_explanations", "own_groups"]


@dataclass(frozen=True, slots=True)
class RowMaker:
    """Rows of features in `groups`; `scales` are by scorer, `asked` limits rows by judge and dictionary."""

    groups: Sequence[ScoreGroup]
    borrowed: Borrowed
    density: float | None
    scales: Mapping[str, Scale] = field(default_factory=dict)
    asked: Mapping[tuple[str, str], Container[int]] = field(default_factory=dict)

    def rows(self, records: FeatureRecords) -> Iterator[dict[str, Any]]:
        """Columns `SCORE_SCHEMA`. Raises ArtefactError for contradictions."""
        evidence = records.evidence
        key = (evidence.dictionary, evidence.feature)
        told, grouped = index_explanations(records.explanations), group_verdicts(records.verdicts)
        reasons = {(u.explainer, u.scorer): u.reason for u in records.unscored}
        for group in self.groups:
            if evidence.feature not in self.asked.get((group.judge, evidence.dictionary), (evidence.feature,)):
                continue
            answers = grouped.get((*key, group), ())
            default = Scale("marks" if group.scorer == "marked" else "windows")
            row = score_feature(
                evidence,
                told.get((*key, group.explainer)),
                answers,
                scale=self.scales.get(group.scorer, default),
                borrowed=self.borrowed.find(answers),
                unscorable=reasons.get((group.explainer, group.scorer)),
                density=self.density,
            )
            yield {**group._asdict(), **row}


def build_scores(
    evidences: Sequence[Evidence],
    explanations: Iterable[Explanation],
    verdicts: Iterable[Verdict],
    *,
    explainers: Sequence[str] = (),
    scorers: Mapping[str, Scale] | None = None,
    judge: str = "",
    judges: Mapping[str, str] | None = None,
    unscored: Iterable[Unscored] = (),
    asked: Mapping[tuple[str, str], Container[int]] | None = None,
) -> pd.DataFrame:
    """Rows per dictionary, feature, explainer, scorer, judge and prompt, with columns `SCORE_SCHEMA`, sorted.

    `explainers`, `scorers`, `judge` and `judges` (by scorer) are the run's own, so features without verdicts have rows,
    `judge` unless in `unscored`. `asked` limits rows by judge and dictionary. Raises ArtefactError for contradictions.
    """
    verdicts, scales = tuple(verdicts), scorers or {}
    own = own_groups(explainers, scales, judge=judge, judges=judges or {})
    maker = RowMaker(
        all_groups((ScoreGroup(v.explainer, v.scorer, v.judge, v.prompt_hash) for v in verdicts), own),
        Borrowed(evidences),
        common_density(evidences),
        scales,
        asked or {},
    )
    ordered = by_feature(evidences), by_feature(explanations), by_feature(verdicts), by_feature(unscored)
    rows = [row for records in iter_records(*ordered) for row in maker.rows(records)]
    return pa.Table.from_pylist(rows, schema=SCORE_SCHEMA).to_pandas()


def all_groups(answered: Iterable[ScoreGroup], own: Sequence[ScoreGroup]) -> list[ScoreGroup]:
    """The groups of verdicts, then a run's own that have none."""
    groups = sorted(set(answered))
    seen = {(group.explainer, group.scorer) for group in groups}
    return groups + [group for group in own if (group.explainer, group.scorer) not in seen]


def own_groups(
    explainers: Sequence[str], scorers: Mapping[str, Scale], *, judge: str, judges: Mapping[str, str]
) -> list[ScoreGroup]:
    """A run's groups, without prompt hashes."""
    pairs = {
        (explainer if scale.needs_explanation else NO_EXPLAINER, scorer)
        for explainer in explainers
        for scorer, scale in scorers.items()
    }
    return [ScoreGroup(*pair, judges.get(pair[1], judge), "") for pair in sorted(pairs)]


def index_explanations(explanations: Iterable[Explanation]) -> dict[tuple[str, int, str], Explanation]:
    """Explanations by dictionary, feature and explainer. Raises ArtefactError if two differ."""
    index: dict[tuple[str, int, str], Explanation] = {}
    for explanation in explanations:
        key = (explanation.dictionary, explanation.feature, explanation.explainer)
        if index.setdefault(key, explanation) != explanation:
            raise ArtefactError(
                f"feature {key[1]} of dictionary '{key[0]}' has several explanations of explainer '{key[2]}', and its "
                "verdicts do not say which one they judge; run it again --from explain, which pays nothing twice"
            )
    return index


def group_verdicts(verdicts: Iterable[Verdict]) -> dict[tuple[str, int, ScoreGroup], tuple[Verdict, ...]]:
    """Distinct verdicts by dictionary, feature and group, sorted. Raises ArtefactError if two about a window differ."""
    cells: dict[tuple[str, int, ScoreGroup], dict[tuple[str, str], Verdict]] = {}
    for v in verdicts:
        key = ScoreGroup(v.explainer, v.scorer, v.judge, v.prompt_hash)
        group = cells.setdefault((v.dictionary, v.feature, key), {})
        if group.setdefault((v.control or "", v.window), v) != v:
            raise ArtefactError(
                f"window '{v.window}' of feature {v.feature} of dictionary '{v.dictionary}' has two verdicts that "
                "differ; run it again --from score, which pays nothing twice"
            )
    return {key: tuple(group[cell] for cell in sorted(group)) for key, group in cells.items()}
