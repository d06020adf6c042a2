"""A made-up run of any number of features: few are made, and all others are these under other numbers."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd

from autointerp.board.entries import build_entries
from autointerp.board.score_file import write_scores
from autointerp.board.scores import build_scores
from autointerp.board.summary import build_summary, write_summary
from autointerp.records.document import Role
from autointerp.records.evidence import Evidence
from autointerp.records.evidence_file import write_evidence
from autointerp.runs.journal import open_journal
from autointerp.runs.layout import RunLayout
from autointerp.runs.manifest import open_run
from autointerp.runs.reply_record import Account, ReplyRecord
from tests.board.synthetic import Run, make_run
from tests.stages.harvested import make_config

__all__ = ["DICTIONARIES", "make_population"]

DICTIONARIES = ("narrow", "middle", "wide")
_N_MADE = 20
_CHUNK = 1000
_KEPT = 3  # windows of each sort


def make_population(root: Path, *, n_features: int) -> Path:
    """A run of three dictionaries with `n_features` each, six verdicts and one reply per feature."""
    layout = RunLayout(root)
    open_run(layout, make_config(name="big", dictionaries=[{"name": n, "kind": "identity"} for n in DICTIONARIES]))
    made = _thin(make_run(dict.fromkeys(DICTIONARIES, "noisy"), n_features=_N_MADE))
    few = build_scores(made.evidences, made.explanations, made.verdicts)
    tables = []
    for name in DICTIONARIES:
        own = [e for e in made.evidences if e.dictionary == name]
        write_evidence(layout.evidence_file(name), [replace(own[i % _N_MADE], feature=i) for i in range(n_features)])
        rows = few.loc[few["dictionary"] == name].sort_values("feature")
        table = pd.concat([rows] * -(-n_features // len(rows)), ignore_index=True).head(n_features)
        tables.append(table.assign(feature=range(n_features)))
        _write_journal(layout, made, name, n_features)
    write_scores(layout.scores, pd.concat(tables, ignore_index=True))
    write_summary(layout.summary, build_summary("big", build_entries(few, seed=0)))
    return root


def _thin(run: Run) -> Run:
    """Few windows and the verdicts about them, without controls."""
    evidences = [replace(e, windows=_few(e)) for e in run.evidences]
    kept = {w.id for e in evidences for w in e.windows}
    return Run(evidences, run.explanations, [v for v in run.verdicts if v.window in kept and v.control is None])


def _few(evidence: Evidence) -> tuple:
    groups: tuple[tuple[Role, bool], ...] = (("explain", True), ("score", True), ("score", False))
    return tuple(
        window
        for role, fires in groups
        for window in [w for w in evidence.select(role) if w.is_firing is fires and w.kind != "near_miss"][:_KEPT]
    )


def _write_journal(layout: RunLayout, made: Run, name: str, n_features: int) -> None:
    numbers = sorted({e.feature for e in made.evidences})
    told = [next(e for e in made.explanations if e.dictionary == name and e.feature == f) for f in numbers]
    verdicts = [[v for v in made.verdicts if v.dictionary == name and v.feature == f] for f in numbers]
    journal = open_journal(layout.journal)
    for start in range(0, n_features, _CHUNK):
        features = range(start, min(n_features, start + _CHUNK))
        journal.save_explanations(replace(told[f % _N_MADE], feature=f) for f in features)
        journal.save_verdicts(replace(v, feature=f) for f in features for v in verdicts[f % _N_MADE])
        for f in features:
            own = verdicts[f % _N_MADE]
            text = json.dumps([int(v.answer == "fires") for v in own])
            key = f"{name}-{f}"
            journal.charge(key, Account(name, "windows", "detection", f, None, tuple(v.window for v in own)))
            journal.record_reply(ReplyRecord(key, "made up", "scripted", '{"messages": []}', text, "stop", "scripted"))
    journal.close()
