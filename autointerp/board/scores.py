"""The table of scores: one row per sampled feature and scorer, independent of the order of the records."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd
import pyarrow as pa

from autointerp.board.borrowed import Borrowed
from autointerp.board.level_figures import common_density
from autointerp.board.score_row import SCORE_SCHEMA, score_feature
from autointerp.errors import ArtefactError
from autointerp.records.evidence import Evidence
from autointerp.records.verdict import NO_EXPLAINER, Explanation, Unscored, Verdict
from autointerp.score.scorer import Scale

__all__ = ["ScoreGroup", "build_scores", "group_verdicts", "index_explanations", "iter_rows", "own_groups"]


class ScoreGroup(NamedTuple):
    """Comparable rows: one explainer, scorer, prompt and judge."""

    explainer: str
    scorer: str
    judge: str
    prompt_hash: str


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
    told = index_explanations(explanations)
    grouped = group_verdicts(verdicts)
    groups = sorted({group for _, _, group in grouped})
    seen = {(group.explainer, group.scorer) for group in groups}
    own = own_groups(explainers, scorers or {}, judge=judge, judges=judges or {})
    groups += [group for group in own if (group.explainer, group.scorer) not in seen]
    reasons = {(u.dictionary, u.feature, u.explainer, u.scorer): u.reason for u in unscored}
    borrowed, density = Borrowed(evidences), common_density(evidences)
    rows = []
    for evidence in sorted(evidences, key=lambda e: (e.dictionary, e.feature)):
        key = (evidence.dictionary, evidence.feature)
        for group in groups:
            if evidence.feature not in (asked or {}).get((group.judge, evidence.dictionary), (evidence.feature,)):
                continue
            answers = grouped.get((*key, group), ())
            row = score_feature(
                evidence,
                told.get((*key, group.explainer)),
                answers,
                scale=(scorers or {}).get(group.scorer, Scale("marks" if group.scorer == "marked" else "windows")),
                borrowed=borrowed.find(answers),
                unscorable=reasons.get((*key, group.explainer, group.scorer)),
                density=density,
            )
            rows.append({**group._asdict(), **row})
    return pa.Table.from_pylist(rows, schema=SCORE_SCHEMA).to_pandas()


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


def iter_rows(scores: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """The rows as plain values, None for NaN and for metrics that a table of an earlier version lacks."""
    whole = scores.reindex(columns=SCORE_SCHEMA.names)
    yield from pa.Table.from_pandas(whole, schema=SCORE_SCHEMA, preserve_index=False).to_pylist()


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
