"""Tables of a journal, and advice for damaged files: never give up paid replies."""

from __future__ import annotations

from autointerp.runs.sqlite_store import Schema

__all__ = ["JOURNAL_SCHEMA", "SCHEMA"]

JOURNAL_SCHEMA = 2

_REPLY = """
    key TEXT NOT NULL, endpoint TEXT NOT NULL, model TEXT NOT NULL, request TEXT NOT NULL, text TEXT NOT NULL,
    finish TEXT NOT NULL, reply_model TEXT NOT NULL, token_logprobs TEXT, probabilities TEXT,
    input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL, cached_tokens INTEGER NOT NULL, usd REAL,
    latency_s REAL NOT NULL, n_attempts INTEGER NOT NULL, source TEXT NOT NULL, at REAL NOT NULL
"""

# `repeats` are replies to requests that another process asked as well: paid for, but the other's answer stands.
# `unpriced` says what a reply whose price nobody knows may have cost.
_TABLES = f"""
CREATE TABLE IF NOT EXISTS parts (hash TEXT PRIMARY KEY, content TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS replies ({_REPLY}, PRIMARY KEY (key));
CREATE TABLE IF NOT EXISTS repeats ({_REPLY}, PRIMARY KEY (key, at, text));
CREATE TABLE IF NOT EXISTS failed_attempts (
    key TEXT NOT NULL, attempt INTEGER NOT NULL, error_class TEXT NOT NULL, message TEXT NOT NULL,
    latency_s REAL NOT NULL, at REAL NOT NULL, usd_at_most REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS unpriced (
    key TEXT NOT NULL, at REAL NOT NULL, usd_at_most REAL NOT NULL, PRIMARY KEY (key, at)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS explanations (
    dictionary TEXT NOT NULL, feature INTEGER NOT NULL, explainer TEXT NOT NULL, judge TEXT NOT NULL,
    prompt_hash TEXT NOT NULL, text TEXT, failure TEXT,
    PRIMARY KEY (dictionary, feature, explainer, judge, prompt_hash)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS verdicts (
    dictionary TEXT NOT NULL, feature INTEGER NOT NULL, explainer TEXT NOT NULL, scorer TEXT NOT NULL,
    judge TEXT NOT NULL, prompt_hash TEXT NOT NULL, control TEXT NOT NULL, window TEXT NOT NULL, kind TEXT NOT NULL,
    is_firing INTEGER NOT NULL, answer TEXT NOT NULL, probability REAL, predictions TEXT, share REAL,
    PRIMARY KEY (dictionary, feature, explainer, scorer, judge, prompt_hash, control, window)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS unscored (
    dictionary TEXT NOT NULL, feature INTEGER NOT NULL, explainer TEXT NOT NULL, scorer TEXT NOT NULL,
    reason TEXT NOT NULL, detail TEXT NOT NULL, PRIMARY KEY (dictionary, feature, explainer, scorer)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS charges (
    key TEXT NOT NULL, dictionary TEXT NOT NULL, explainer TEXT NOT NULL, scorer TEXT NOT NULL,
    PRIMARY KEY (key, dictionary, explainer, scorer)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS questions (
    dictionary TEXT NOT NULL, feature INTEGER NOT NULL, explainer TEXT NOT NULL, scorer TEXT NOT NULL,
    control TEXT NOT NULL, key TEXT NOT NULL, windows TEXT NOT NULL,
    PRIMARY KEY (dictionary, feature, explainer, scorer, control, key)
) WITHOUT ROWID;
"""

SCHEMA = Schema(
    noun="journal",
    application_id=0x41494A4C,
    version=JOURNAL_SCHEMA,
    tables=_TABLES,
    fix="move it away",
    mend="`autointerp journal RUN --recover` keeps what can be read of it",
)
