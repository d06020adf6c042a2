"""Files of the feature browser: of each dictionary columns to sort by, texts to search in, and pages of cards.

The browser loads a file when it needs it; a page holds the cards of `PER_PAGE` features.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from autointerp.board.borrowed import Borrowed
from autointerp.board.feature_data import ON_PAGE, Findings, card_columns, feature_card
from autointerp.board.feature_records import Ahead, FeatureRecords, Key
from autointerp.board.metrics import METRICS, title_of
from autointerp.board.relatives import Relatives
from autointerp.board.score_table import ScoreGroup
from autointerp.board.scores import group_verdicts
from autointerp.records.evidence import Evidence
from autointerp.runs.journal_entries import Answered
from autointerp.safe_text import without_folders

__all__ = ["PER_PAGE", "Shelf", "catalog", "findings_of", "group_of", "headings_of", "shelf_files"]

PER_PAGE = 20

_N_TOKENS = 8  # of each kind, that a search finds


@dataclass(slots=True)
class Shelf:
    """One dictionary of one run; `run` is empty where there is only one. `site` and `n` are known once it is read.
    `content` is the same for dictionaries of several runs whose evidence is the same.
    """

    number: int
    run: str
    dictionary: str
    kind: str = ""
    content: str = ""
    site: str = ""
    n: int = 0

    @property
    def label(self) -> str:
        return f"{self.run}/{self.dictionary}" if self.run else self.dictionary


def group_of(row: Mapping[str, Any]) -> ScoreGroup:
    return ScoreGroup(row["explainer"], row["scorer"], row["judge"], row["prompt_hash"])


def headings_of(rows: Iterable[Mapping[str, Any]]) -> dict[ScoreGroup, str]:
    """The heading metric of each group of scores, in the groups' order."""
    known = {group_of(row): row["metric"] or "f1" for row in rows}
    return {group: known[group] for group in sorted(known)}


def findings_of(
    features: Iterable[FeatureRecords],
    rows: Iterable[Mapping[str, Any]],
    *,
    lent: Borrowed,
    relatives: Relatives,
    replies: Iterable[tuple[Key, Sequence[Answered]]] = (),
) -> Iterator[tuple[Evidence, Findings]]:
    """Each feature with all that is known about it, one at a time; `rows` of scores and `replies` are in the features'
    order.
    """
    scored = Ahead(rows, lambda row: (row["dictionary"], row["feature"]))
    answered = Ahead(replies, lambda pair: pair[0])
    for evidence, explanations, verdicts, _ in features:
        key = (evidence.dictionary, evidence.feature)
        answers = {group: each for (_, _, group), each in group_verdicts(verdicts).items()}
        yield (
            evidence,
            Findings(
                verdicts=answers,
                scores={group_of(row): row for row in scored.take(key)},
                explanations=sorted(explanations, key=lambda e: (e.explainer, e.judge, e.prompt_hash)),
                replies=[reply for _, own in answered.take(key) for reply in own],
                relatives=relatives.get(key, ()),
                borrowed={w: window for said in answers.values() for w, window in lent.find(said).items()},
            ),
        )


def catalog(shelves: Sequence[Shelf], headings: Mapping[ScoreGroup, str]) -> dict[str, Any]:
    """What the browser reads first: dictionaries, and groups with their heading metrics."""
    return {
        "perPage": PER_PAGE,
        "groups": [
            {
                "name": name,
                "metric": metric,
                "head": title_of(metric),
                "columns": card_columns(metric),
                "apart": metric != "accuracy",  # of a trial the kind is the intruder's
                "explainer": group.explainer,
                "scorer": group.scorer,
                "judge": without_folders(group.judge),
            }
            for (group, metric), name in zip(headings.items(), _group_names(list(headings)), strict=True)
        ],
        "metrics": [[metric.name, metric.title] for metric in METRICS if metric.is_in("page")],
        "shelves": [
            {
                "label": s.label,
                "run": s.run,
                "dictionary": s.dictionary,
                "site": s.site,
                "kind": s.kind,
                "n": s.n,
                "same": [t.label for t in shelves if t is not s and s.content and t.content == s.content],
            }
            for s in shelves
        ],
    }


def shelf_files(
    shelf: Shelf,
    features: Iterable[tuple[Evidence, Findings]],
    *,
    groups: Mapping[ScoreGroup, int],
    n_judged: int,
    n_seen: int,
) -> Iterator[tuple[str, Any]]:
    """Names and contents of a dictionary's files, pages first; fills in `shelf` on the way.

    `groups` are numbered as in the catalog; `n_judged` and `n_seen` limit a feature's windows.
    """
    columns: dict[str, Any] = {"feature": [], "density": [], "max": [], "failed": [], "groups": {}}
    texts: dict[str, Any] = {"said": {}, "tokens": []}
    metrics: dict[str, Any] = {}
    page: list[dict[str, Any]] = []
    for evidence, found in features:
        page.append(feature_card(evidence, found, groups=groups, n_judged=n_judged, n_seen=n_seen))
        _add_columns(columns, shelf.n, evidence, found, groups)
        _add_texts(texts, shelf.n, evidence, found)
        _add_metrics(metrics, shelf.n, found, groups)
        shelf.site, shelf.n = evidence.site, shelf.n + 1
        if len(page) == PER_PAGE:
            yield f"{shelf.number}/{shelf.n // PER_PAGE - 1}", page
            page = []
    if page:
        yield f"{shelf.number}/{shelf.n // PER_PAGE}", page
    for name, table in (("columns", columns), ("texts", texts), ("metrics", metrics)):
        yield f"{shelf.number}/{name}", table


def _add_columns(
    columns: dict[str, Any], place: int, evidence: Evidence, found: Findings, groups: Mapping[ScoreGroup, int]
) -> None:
    columns["feature"].append(evidence.feature)
    columns["density"].append(_short(evidence.density))
    columns["max"].append(_short(evidence.max_activation))
    columns["failed"].append(int(any(told.text is None for told in found.explanations)))
    for group, row in found.scores.items():
        table = columns["groups"].setdefault(str(groups[group]), {})
        _put(table, "score", place, _short(row["score"]))
        _put(table, "wrong", place, (row["false_positive"] or 0) + (row["false_negative"] or 0))
        _put(table, "lost", place, sum(row[name] or 0 for name in ("unparsed", "refused", "error")))
        _put(table, "unscored", place, row["unscored"])


def _add_texts(texts: dict[str, Any], place: int, evidence: Evidence, found: Findings) -> None:
    for told in found.explanations:
        _put(texts["said"], told.explainer, place, told.text or (f"\0{told.failure}" if told.failure else None))
    uses = [use.text for use in evidence.token_uses[:_N_TOKENS]]
    texts["tokens"].append(uses + [effect.text for effect in evidence.top_logits[:_N_TOKENS]])


def _add_metrics(metrics: dict[str, Any], place: int, found: Findings, groups: Mapping[ScoreGroup, int]) -> None:
    for group, row in found.scores.items():
        table = metrics.setdefault(str(groups[group]), {})
        for name in ON_PAGE:
            if (value := row.get(name)) is not None and name != "score":
                _put(table, name, place, _short(value))


def _put(table: dict[str, Any], name: str, place: int, value: Any) -> None:
    """Set a column's value at a place; places that were left out hold None."""
    column = table.setdefault(name, [])
    column.extend([None] * (place - len(column)))
    column.append(value)


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")


def _group_names(groups: Sequence[ScoreGroup]) -> list[str]:
    """Scorer names, with explainer, judge and prompt if needed to tell groups apart."""
    scorers = [group.scorer for group in groups]
    pairs = [(group.scorer, group.explainer) for group in groups]
    names = []
    for group, pair in zip(groups, pairs, strict=True):
        if scorers.count(group.scorer) == 1:
            names.append(group.scorer)
        elif pairs.count(pair) == 1:
            names.append(f"{group.scorer} of {group.explainer}")
        else:
            judge = without_folders(group.judge)
            names.append(f"{group.scorer} of {group.explainer} ({judge}, {group.prompt_hash[:8]})")
    return names
