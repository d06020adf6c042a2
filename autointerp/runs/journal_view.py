"""Requests, replies and costs over a run's journals (its own and its shards'), read-only. Merged replies count once."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import fields
from itertools import groupby
from pathlib import Path
from typing import Any

from autointerp.runs.journal import open_reader
from autointerp.runs.journal_entries import Answered, Asked, Attempt, Work
from autointerp.runs.journal_sources import JournalSources

__all__ = ["JournalView", "open_view"]

_N_PAYERS = "(SELECT key, count(*) AS n_payers FROM charges GROUP BY key)"
_ACCOUNT = "dictionary, explainer, scorer"

# a share of a reply that several accounts asked for, so that the accounts sum to the whole
_WORK = f"""
SELECT {_ACCOUNT}, model, count(*), total(source = 'cache'), total(source = 'judge'), total(finish = 'refused'),
    total(finish = 'length'), total(is_again), total((source = 'judge') * input_tokens),
    total((source = 'judge') * output_tokens), total((source = 'judge') * cached_tokens),
    total((source = 'judge') * usd / n_payers), total(source = 'judge' AND usd IS NULL),
    total((source = 'judge') * latency_s)
FROM charges JOIN replies USING (key) JOIN {_N_PAYERS} USING (key) GROUP BY {_ACCOUNT}, model
"""
_LATENCIES = f"""
SELECT {_ACCOUNT}, model, max(CASE WHEN place = (n + 1) / 2 THEN latency_s END),
    max(CASE WHEN place = (n * 95 + 99) / 100 THEN latency_s END)
FROM (
    SELECT {_ACCOUNT}, model, latency_s, row_number() OVER (PARTITION BY {_ACCOUNT}, model ORDER BY latency_s) AS place,
        count(*) OVER (PARTITION BY {_ACCOUNT}, model) AS n
    FROM charges JOIN replies USING (key) WHERE source = 'judge'
) GROUP BY {_ACCOUNT}, model
"""


_NUMBERS = re.compile(r"(?<!HTTP )\b\d+(\.\d+)?\b")
_COUNTS = (
    *("n_replies", "n_from_cache", "n_sent", "n_refused", "n_cut", "n_reasked"),
    *("input_tokens", "output_tokens", "cached_tokens"),
)


class JournalView(JournalSources):
    def summarise(self) -> list[Work]:
        """Work per account and model, the most expensive first."""
        by_model: dict[tuple[Any, ...], Work] = {}
        for row in self.query(_WORK):
            numbers = [int(value) for value in row[4:13]]
            work = Work(row[0], row[1], row[2] or None, row[3], usd=row[13], n_unpriced=int(row[14]), latency_s=row[15])
            for name, number in zip(_COUNTS, numbers, strict=True):
                setattr(work, name, number)
            by_model[row[:4]] = work
        for *account, p50, p95 in self.query(_LATENCIES):
            work = by_model[tuple(account)]
            work.latency_p50_s, work.latency_p95_s = p50, p95
        by_account: dict[tuple[Any, ...], list[Work]] = {}
        for account, work in by_model.items():
            by_account.setdefault(account[:3], []).append(work)

        def largest(account: tuple[Any, ...]) -> Work:
            """An account's work with its main model; several models occur only after a change."""
            if account not in by_account:
                dictionary, explainer, scorer = account
                by_model[*account, ""] = Work(dictionary, explainer, scorer or None, "")
                by_account[account] = [by_model[*account, ""]]
            return max(by_account[account], key=lambda work: work.n_replies)

        for *account, name, n in self.query(
            f"SELECT {_ACCOUNT}, error_class, count(*) FROM charges JOIN failed_attempts USING (key) "
            f"GROUP BY {_ACCOUNT}, error_class"
        ):
            largest(tuple(account)).failures[name] = n
        for *account, answer, n in self.query(
            f"SELECT {_ACCOUNT}, answer, count(*) FROM verdicts GROUP BY {_ACCOUNT}, answer UNION ALL "
            "SELECT dictionary, explainer, '', coalesce(failure, 'explained'), count(*) FROM explanations "
            "GROUP BY dictionary, explainer, failure"
        ):
            largest(tuple(account)).answers[answer] = n
        return sorted(
            by_model.values(), key=lambda w: (-w.usd, -w.n_replies, w.dictionary, w.explainer, w.scorer or "")
        )

    def totals(self) -> dict[str, Any]:
        """Counts and costs, unbooked replies included."""
        names = (
            *("n_replies", "n_from_cache", "n_refused", "n_cut", "n_reasked", "n_unpriced"),
            *("input_tokens", "output_tokens", "cached_tokens"),
        )
        row = next(
            self.query(
                "SELECT count(*), total(source = 'cache'), total(finish = 'refused'), total(finish = 'length'), "
                "total(is_again), total(source = 'judge' AND usd IS NULL), total(input_tokens * (source = 'judge')), "
                "total(output_tokens * (source = 'judge')), total(cached_tokens * (source = 'judge')), "
                "total(usd * (source = 'judge')), min(at), max(at) FROM replies"
            )
        )
        totals: dict[str, Any] = dict(zip(names, map(int, row[:9]), strict=True))
        failures = dict(self.query("SELECT error_class, count(*) FROM failed_attempts GROUP BY 1 ORDER BY 2 DESC, 1"))
        answers = dict(self.query("SELECT answer, count(*) FROM verdicts GROUP BY 1 ORDER BY 1"))
        n_failed = sum(failures.values())
        return totals | {
            "usd": float(row[9]),
            "n_failed_attempts": n_failed,
            "n_sent": totals["n_replies"] - totals["n_from_cache"] + n_failed,
            "failures": failures,
            "failure_kinds": self._failure_kinds(),
            "n_explanations": next(self.query("SELECT count(*) FROM explanations"))[0],
            "n_verdicts": sum(answers.values()),
            "answers": answers,
            "first_at": row[10],
            "last_at": row[11],
        }

    def _failure_kinds(self) -> dict[str, int]:
        """Failed attempts by message without numbers, most frequent first."""
        kinds: Counter[str] = Counter()
        for message, n in self.query("SELECT message, count(*) FROM failed_attempts GROUP BY message"):
            kinds[_NUMBERS.sub("N", message.partition(": ")[0])] += n
        return dict(kinds.most_common())

    def iter_failures(self) -> Iterator[Attempt]:
        """Failed attempts, latest first."""
        query = (
            "SELECT key, attempt, error_class, message, latency_s, at, dictionary, feature, scorer "
            "FROM source.failed_attempts LEFT JOIN "
            "(SELECT key, min(dictionary) AS dictionary, min(feature) AS feature, min(scorer) AS scorer "
            "FROM source.questions GROUP BY key) USING (key) ORDER BY at DESC"
        )
        if self.is_single:
            for _ in self.each():
                yield from map(_attempt, self.connection.execute(query))
            return
        rows = {row for _ in self.each() for row in self.connection.execute(query).fetchall()}
        yield from map(_attempt, sorted(rows, key=lambda row: -row[5]))

    def find_feature(self, dictionary: str, feature: int) -> Iterator[Asked]:
        """Conversation about one feature: explanations, scores, controls, in order."""
        seen: set[tuple[Any, ...]] = set()
        for _ in self.each():
            questions = self.connection.execute(
                "SELECT dictionary, feature, explainer, scorer, control, questions.key, windows FROM source.questions "
                "LEFT JOIN source.replies USING (key) WHERE dictionary = ? AND feature = ? "
                "ORDER BY scorer, explainer, control, at",
                (dictionary, feature),
            ).fetchall()
            for *whom, key, windows in questions:
                asked = self._read(key, whom, json.loads(windows))
                if asked is not None and (*whom, key) not in seen:
                    seen.add((*whom, key))
                    yield asked

    def iter_answered(self, dictionary: str) -> Iterator[tuple[int, list[Answered]]]:
        """Each feature of a dictionary with its replies, in the order in which they came; features ascend within one
        journal.
        """
        query = (
            "SELECT feature, explainer, scorer, control, windows, questions.key, model, text, finish, input_tokens, "
            "output_tokens, usd FROM source.questions JOIN source.replies USING (key) WHERE dictionary = ? "
            "ORDER BY feature, at"
        )
        for _ in self.each():
            rows = self.connection.execute(query, (dictionary,))
            for feature, group in groupby(rows, key=lambda row: row[0]):
                yield (
                    feature,
                    [
                        Answered(a, b, control or None, tuple(json.loads(w)), *rest)
                        for _, a, b, control, w, *rest in group
                    ],
                )

    def find_key(self, prefix: str) -> list[Asked]:
        """Requests with a key prefix, one per question; at most ten keys."""
        by_question: dict[tuple[Any, ...], Asked] = {}
        for _ in self.each():
            rows = self.connection.execute(
                "SELECT key FROM source.replies WHERE key >= ? AND key < ? LIMIT 10", (prefix, prefix + "g")
            ).fetchall()
            for (key,) in rows:
                questions = self.connection.execute(
                    "SELECT dictionary, feature, explainer, scorer, control, windows FROM source.questions "
                    "WHERE key = ? LIMIT 10",
                    (key,),
                ).fetchall() or [(None, None, None, None, None, "[]")]
                for *whom, windows in questions:
                    asked = self._read(key, whom, json.loads(windows))
                    if asked is not None:
                        by_question.setdefault((key, *whom), asked)
        return list(by_question.values())

    def find_slowest(self, n: int) -> list[Asked]:
        return self._find_first(n, "WHERE source = 'judge' ORDER BY latency_s DESC, key")

    def find_latest(self, n: int) -> list[Asked]:
        return self._find_first(n, "ORDER BY at DESC, key")

    def _find_first(self, n: int, order: str) -> list[Asked]:
        wanted = [key for (key,) in self.query(f"SELECT key FROM replies {order} LIMIT ?", (n,))]
        by_key: dict[str, Asked] = {}
        for key in wanted:
            by_key |= {asked.key: asked for asked in self.find_key(key)}
        return [by_key[key] for key in wanted if key in by_key]

    def characters_per_token(self, n_replies: int = 500) -> float | None:
        """Prompt characters per input token, over the first replies with counts."""
        n_characters, n_tokens = 0, 0
        for _ in self.each():
            sizes = self.connection.execute(
                "SELECT (SELECT total(length(content)) FROM source.parts JOIN json_each(request, '$.messages') "
                "ON hash = json_extract(value, '$.content')), input_tokens FROM source.replies "
                "WHERE source = 'judge' AND input_tokens > 0 ORDER BY rowid LIMIT ?",
                (n_replies,),
            )
            for characters, tokens in sizes.fetchall():
                n_characters, n_tokens = n_characters + int(characters), n_tokens + tokens
        return n_characters / n_tokens if n_tokens else None

    def prompt_sizes(self) -> dict[str, tuple[float, float]]:
        """Mean characters and input tokens of a request, by scorer ("" for explaining), without questions put again."""
        totals: dict[str, list[float]] = {}
        for _ in self.each():
            rows = self.connection.execute(
                "SELECT scorer, count(*), total((SELECT total(length(content)) FROM source.parts "
                "JOIN json_each(request, '$.messages') ON hash = json_extract(value, '$.content'))), "
                "total(input_tokens) FROM (SELECT DISTINCT scorer, key FROM source.questions) "
                "JOIN source.replies USING (key) GROUP BY scorer"
            )
            for scorer, *sums in rows.fetchall():
                totals[scorer] = [a + b for a, b in zip(totals.get(scorer, (0, 0, 0)), sums, strict=True)]
        return {scorer: (characters / n, tokens / n) for scorer, (n, characters, tokens) in sorted(totals.items())}

    def features(self) -> list[tuple[str, int, int, int]]:
        """(dictionary, number of features, lowest, highest)."""
        seen: dict[str, set[int]] = {}
        for _ in self.each():
            for name, feature in self.connection.execute("SELECT DISTINCT dictionary, feature FROM source.questions"):
                seen.setdefault(name, set()).add(feature)
        return [(name, len(features), min(features), max(features)) for name, features in sorted(seen.items())]

    def _read(self, key: str, whom: Sequence[Any], windows: Sequence[str]) -> Asked | None:
        """A request with verdicts about its windows; None without a reply."""
        columns = (
            "model, text, finish, source, input_tokens, output_tokens, cached_tokens, usd, latency_s, n_attempts, at"
        )
        row = self.connection.execute(f"SELECT {columns}, request FROM source.replies WHERE key = ?", (key,)).fetchone()
        if row is None:
            return None
        dictionary, feature, explainer, scorer, control = whom
        messages = []
        for message in json.loads(row[-1])["messages"]:
            part = self.connection.execute(
                "SELECT content FROM source.parts WHERE hash = ?", (message["content"],)
            ).fetchone()
            messages.append((message["role"], part[0] if part else "(its text was lost)"))
        return Asked(
            key=key,
            dictionary=dictionary,
            feature=feature,
            explainer=explainer,
            scorer=scorer or None,
            control=control or None,
            messages=tuple(messages),
            windows=tuple(windows),
            verdicts=self._verdicts(dictionary, feature, explainer, scorer, control, windows),
            explanation=None if scorer else self._explanation(dictionary, feature, explainer),
            **dict(zip(columns.split(", "), row[:-1], strict=True)),
        )

    def _verdicts(
        self, dictionary: str, feature: int, explainer: str, scorer: str, control: str, windows: Sequence[str]
    ) -> tuple[tuple[str, str, bool, str, float | None], ...]:
        by_window = {
            window: (window, kind, bool(is_firing), answer, probability)
            for window, kind, is_firing, answer, probability in self.connection.execute(
                "SELECT window, kind, is_firing, answer, probability FROM source.verdicts WHERE dictionary = ? "
                "AND feature = ? AND explainer = ? AND scorer = ? AND control = ?",
                (dictionary, feature, explainer, scorer, control),
            )
        }
        return tuple(by_window[window] for window in windows if window in by_window)

    def _explanation(self, dictionary: str | None, feature: int | None, explainer: str | None) -> str | None:
        row = self.connection.execute(
            "SELECT text FROM source.explanations WHERE dictionary = ? AND feature = ? AND explainer = ?",
            (dictionary, feature, explainer),
        ).fetchone()
        return row[0] if row else None


def open_view(paths: Sequence[Path]) -> JournalView:
    """Existing ones of `paths`. Raises ArtefactError without any, or when one is damaged or foreign."""
    present = [path for path in paths if path.is_file()] or list(paths[:1])
    for path in present:
        open_reader(path).close()
    return JournalView(present)


def _answered(explainer: str, scorer: str, control: str, windows: str, *rest: Any) -> Answered:
    return Answered(explainer, scorer, control or None, tuple(json.loads(windows)), *rest)


def _attempt(row: Sequence[Any]) -> Attempt:
    values: dict[str, Any] = dict(zip((field.name for field in fields(Attempt)), row, strict=True))
    values["scorer"] = values["scorer"] or None
    return Attempt(**values)
