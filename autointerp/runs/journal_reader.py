"""Content of a journal: explanations, verdicts, costs and prompts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from types import TracebackType
from typing import Any, Protocol, Self

from autointerp.records.verdict import Explanation, Unscored, Verdict
from autointerp.runs.reply_record import Account

__all__ = ["EXPLANATION_COLUMNS", "UNSCORED_COLUMNS", "VERDICT_COLUMNS", "JournalReader", "Totals"]

EXPLANATION_COLUMNS = tuple(field.name for field in fields(Explanation))
VERDICT_COLUMNS = tuple(field.name for field in fields(Verdict))
UNSCORED_COLUMNS = tuple(field.name for field in fields(Unscored))

_ALL_REPLIES = "(SELECT * FROM replies UNION ALL SELECT * FROM repeats)"
_COSTS = f"""
SELECT dictionary, explainer, scorer, total(source = 'judge' AND usd IS NULL),
    total(usd * (source = 'judge') / n_payers)
FROM charges JOIN {_ALL_REPLIES} USING (key)
    JOIN (SELECT key, count(*) AS n_payers FROM charges GROUP BY key) USING (key)
GROUP BY dictionary, explainer, scorer
"""
_N_UNBOOKED = """
SELECT count(*) FROM replies
WHERE source = 'judge' AND (usd IS NULL OR usd > 0) AND key NOT IN (SELECT key FROM charges)
"""


@dataclass(frozen=True, slots=True)
class Totals:
    """Counts over a journal. `n_sent`: attempts at the judge, failed ones included (limited by max_requests).

    `usd` and tokens count this run's requests, all shards' repeats included; `n_unpriced` lack a price. `lost_usd`:
    bound on attempts without a reply and replies without a price. `answers`: verdicts by answer.
    """

    n_replies: int = 0
    n_from_cache: int = 0
    n_failed_attempts: int = 0
    n_refused: int = 0
    n_unpriced: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    usd: float = 0.0
    lost_usd: float = 0.0
    n_explanations: int = 0
    n_verdicts: int = 0
    answers: tuple[tuple[str, int], ...] = ()

    @property
    def n_sent(self) -> int:
        return self.n_replies - self.n_from_cache + self.n_failed_attempts


class Readable(Protocol):
    def read(self, query: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]: ...
    def iter_rows(self, query: str, parameters: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]: ...
    def close(self) -> None: ...


class JournalReader:
    """Made by `journal.read_journal`. Raises ArtefactError where damaged."""

    def __init__(self, store: Readable) -> None:
        self._source = store

    def _read(self, query: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return self._source.read(query, parameters)

    def _iter(self, query: str, parameters: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
        return self._source.iter_rows(query, parameters)

    def iter_unscored(self) -> Iterator[Unscored]:
        """By dictionary, feature, explainer and scorer; a feature may have got verdicts later."""
        rows = self._iter(f"SELECT {', '.join(UNSCORED_COLUMNS)} FROM unscored ORDER BY 1, 2, 3, 4")
        return (Unscored(*row) for row in rows)

    def load_unscored(self) -> list[Unscored]:
        return list(self.iter_unscored())

    def load_costs(self) -> dict[Account, float | None] | None:
        """US dollars by account, summing to the cost in `totals`; shared replies are split evenly.

        An account is None with an unpriced reply; everything is None if a reply has no account (older releases).
        """
        if self._read(_N_UNBOOKED)[0][0]:
            return None
        return {
            Account(dictionary, explainer, scorer or None): None if n_unpriced else float(usd)
            for dictionary, explainer, scorer, n_unpriced, usd in self._read(_COSTS)
        }

    def iter_explanations(self, dictionary: str | None = None, feature: int | None = None) -> Iterator[Explanation]:
        """Of one dictionary (or one feature of it), or of all, ordered by dictionary and feature."""
        where, names = _only(dictionary, feature)
        query = f"SELECT {', '.join(EXPLANATION_COLUMNS)} FROM explanations {where} ORDER BY 1, 2, 3, 4, 5"
        return (Explanation(*row) for row in self._iter(query, names))

    def load_explanations(self, dictionary: str | None = None, feature: int | None = None) -> list[Explanation]:
        return list(self.iter_explanations(dictionary, feature))

    def iter_verdicts(self, dictionary: str | None = None, feature: int | None = None) -> Iterator[Verdict]:
        """Of one dictionary (or one feature of it), or of all, ordered by dictionary, feature, explainer, scorer and
        control.
        """
        where, names = _only(dictionary, feature)
        query = (
            f"SELECT {', '.join(VERDICT_COLUMNS)} FROM verdicts {where} "
            "ORDER BY dictionary, feature, explainer, scorer, judge, prompt_hash, control, window"
        )
        return (_read_verdict(row) for row in self._iter(query, names))

    def load_verdicts(self, dictionary: str | None = None, feature: int | None = None) -> list[Verdict]:
        return list(self.iter_verdicts(dictionary, feature))

    def load_groups(self) -> list[tuple[str, str, str, str]]:
        """Distinct (explainer, scorer, judge, prompt hash) of verdicts."""
        query = "SELECT DISTINCT explainer, scorer, judge, prompt_hash FROM verdicts"
        return [(explainer, scorer, judge, prompt) for explainer, scorer, judge, prompt in self._read(query)]

    def load_prompts(self) -> list[tuple[str, str, str, str]]:
        """Distinct (`explainer` or `scorer`, name, judge, prompt hash)."""
        query = (
            "SELECT DISTINCT 'explainer', explainer, judge, prompt_hash FROM explanations "
            "UNION ALL SELECT DISTINCT 'scorer', scorer, judge, prompt_hash FROM verdicts"
        )
        return [(kind, name, judge, prompt) for kind, name, judge, prompt in self._read(query)]

    def load_request(self, key: str) -> dict[str, Any] | None:
        """Request of a reply with full messages; None under unknown keys."""
        rows = self._read("SELECT request FROM replies WHERE key = ?", (key,))
        if not rows:
            return None
        request = json.loads(rows[0][0])
        for message in request["messages"]:
            contents = self._read("SELECT content FROM parts WHERE hash = ?", (message["content"],))
            message["content"] = contents[0][0] if contents else None
        return request

    def totals(self) -> Totals:
        reply = self._read(
            "SELECT count(*), total(source = 'cache'), total(finish = 'refused'), "
            "total(source = 'judge' AND usd IS NULL), total(input_tokens * (source = 'judge')), "
            "total(output_tokens * (source = 'judge')), total(cached_tokens * (source = 'judge')), "
            f"total(usd * (source = 'judge')) FROM {_ALL_REPLIES}"
        )[0]
        n_failed, lost_usd = self._read("SELECT count(*), total(usd_at_most) FROM failed_attempts")[0]
        if self._read("SELECT 1 FROM sqlite_master WHERE name = 'unpriced'"):  # older journals have no such table
            lost_usd += self._read("SELECT total(usd_at_most) FROM unpriced")[0][0]
        answers = self._read("SELECT answer, count(*) FROM verdicts GROUP BY answer ORDER BY answer")
        return Totals(
            n_replies=reply[0],
            n_from_cache=int(reply[1]),
            n_failed_attempts=n_failed,
            n_refused=int(reply[2]),
            n_unpriced=int(reply[3]),
            input_tokens=int(reply[4]),
            output_tokens=int(reply[5]),
            cached_tokens=int(reply[6]),
            usd=float(reply[7]),
            lost_usd=float(lost_usd),
            n_explanations=self._read("SELECT count(*) FROM explanations")[0][0],
            n_verdicts=sum(n for _, n in answers),
            answers=tuple((answer, n) for answer, n in answers),
        )

    def close(self) -> None:
        """Idempotent."""
        self._source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _only(dictionary: str | None, feature: int | None) -> tuple[str, tuple[str | int, ...]]:
    wanted = {"dictionary": dictionary, "feature": feature}
    known = {name: value for name, value in wanted.items() if value is not None}
    return f"WHERE {' AND '.join(f'{name} = ?' for name in known)}" if known else "", tuple(known.values())


def _read_verdict(row: Sequence[Any]) -> Verdict:
    values = dict(zip(VERDICT_COLUMNS, row, strict=True))
    values["control"] = values["control"] or None
    values["is_firing"] = bool(values["is_firing"])
    values["predictions"] = None if values["predictions"] is None else tuple(json.loads(values["predictions"]))
    return Verdict(**values)
