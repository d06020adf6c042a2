"""A site: the board of many runs and every feature of them, one folder that opens from disk or is hosted anywhere."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from autointerp.board.borrowed import Borrowed
from autointerp.board.browser_data import Shelf, catalog, findings_of, headings_of, shelf_files
from autointerp.board.caveats import caveats
from autointerp.board.feature_data import Findings, windows_per_feature
from autointerp.board.feature_records import iter_records
from autointerp.board.leaderboard import render_leaderboard
from autointerp.board.page import BROWSER, asset, embed_json, fill
from autointerp.board.pareto import pareto_charts
from autointerp.board.relatives import Relatives, find_relatives
from autointerp.board.score_table import GROUP, ScoreGroup, ScoreTable
from autointerp.board.standing import Section, build_sections
from autointerp.config.dictionary_name import entry_of
from autointerp.errors import ConfigError
from autointerp.progress import Progress
from autointerp.records.evidence import Evidence
from autointerp.run import Run
from autointerp.runs.digests import require_files
from autointerp.runs.journal_view import open_view
from autointerp.runs.layout import write_text
from autointerp.safe_text import safe_tree
from autointerp.site.matrix import build_matrix
from autointerp.site.picture import draw_picture
from autointerp.site.run_facts import RunFacts, facts_of

__all__ = ["build_site"]

WINDOW_BUDGET = 1_000_000
"""Windows in one site, about 0.7 kB each."""

_MOST_WINDOWS = 200
_MOST_RELATED = 100_000
"""Features of a run whose relatives are looked for: places and pairs are held in memory."""
_SCRIPTS = (*BROWSER, "board.js")


def build_site(runs: Mapping[str, Run], out: Path, *, title: str, progress: Progress, is_served: bool = False) -> None:
    """Write the site of runs with their labels into `out`, over an earlier site there; `is_served` links it with the
    pages of `serving.pages`.

    Raises ConfigError where `out` holds anything else, ArtefactError for a run without its report.
    """
    _clear(out)
    facts = [facts_of(label, run) for label, run in runs.items()]
    summaries = [safe_tree({**run.summary, "run": label}) for label, run in runs.items()]
    for name in ("page.css", *_SCRIPTS):
        write_text(out / name, asset(name))
    _write_features(runs, facts, out, title, progress, is_served=is_served)
    _write_board(facts, summaries, out, title, is_served=is_served)


def _clear(out: Path) -> None:
    data = out / "data"
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not (data / "catalog.js").is_file())):
        raise ConfigError(f"--out {out} holds something that is no site; choose another folder")
    shutil.rmtree(data, ignore_errors=True)


def _write_board(
    facts: Sequence[RunFacts], summaries: Sequence[Mapping[str, Any]], out: Path, title: str, *, is_served: bool
) -> None:
    sections = build_sections(summaries, is_several=True)
    kinds = {each.label: each.kinds for each in facts}
    columns, rows = build_matrix(sections, kinds=kinds, subjects={each.label: each.subject for each in facts})
    for format in ("csv", "json"):
        write_text(out / f"board.{format}", render_leaderboard(summaries, format))
    for number, each in enumerate(facts):
        write_text(out / "data" / f"config-{number}.toml", each.config)
    has_picture = draw_picture(sections, out / "board.png", title=title)
    page = fill(
        "site.html.j2",
        title=title,
        description=_description(sections, len(facts), len(rows)),
        has_picture=has_picture,
        is_served=is_served,
        columns=columns,
        rows=rows,
        sections=sections,
        pareto=pareto_charts(sections),
        caveats=caveats(sections),
        facts=facts,
        reasons=embed_json([column.reasons for column in columns]),
    )
    write_text(out / "index.html", page)


def _description(sections: Sequence[Section], n_runs: int, n_entries: int) -> str:
    runs = "one run" if n_runs == 1 else f"{n_runs} runs"
    asked = f"How interpretable are the features of {n_entries} dictionaries in {runs}?"
    if not sections or (score := (first := sections[0].standings[0]).score) is None:
        return asked
    figure = f"{sections[0].heading} {score['mean']:.3f} ({score['lo']:.2f} to {score['hi']:.2f}, rank {first.places})"
    return f"{asked} {sections[0].title}: highest {first.label}, {figure}."


def _write_features(
    runs: Mapping[str, Run], facts: Sequence[RunFacts], out: Path, title: str, progress: Progress, *, is_served: bool
) -> None:
    tables = {label: run.open_scores() for label, run in runs.items()}
    headings = _headings(tables.values())
    numbers = {group: number for number, group in enumerate(headings)}
    shelves = [
        Shelf(number, label, name, own.kinds.get(entry_of(name), ""), _content(runs[label], name))
        for number, (label, name, own) in enumerate(
            (label, entry.name, own)
            for (label, run), own in zip(runs.items(), facts, strict=True)
            for entry in run.config.every_dictionary
        )
    ]
    n_features = sum(table.distinct("dictionary", "feature").num_rows for table in tables.values())
    n_windows = windows_per_feature(n_features, budget=WINDOW_BUDGET, at_least=12, at_most=_MOST_WINDOWS)
    with progress.bar("site: features", total=n_features, unit="features") as bar:
        done = 0
        relatives: Relatives = {}
        for place, shelf in enumerate(shelves):
            run = runs[shelf.run]
            if not place or shelves[place - 1].run != shelf.run:
                relatives = _relatives(run)
            found = _features(run, tables[shelf.run], shelf.dictionary, relatives)
            limits = {"n_judged": n_windows - n_windows // 4, "n_seen": n_windows // 4}
            for name, content in shelf_files(shelf, found, groups=numbers, **limits):
                _write_data(out, name, content)
                bar.update(min(n_features, done + shelf.n))
            done += shelf.n
    known = [shelf for shelf in shelves if shelf.n]
    _write_data(out, "catalog", catalog(known, headings))
    page = fill("features.html.j2", title=title, scripts=BROWSER, n_features=n_features, is_served=is_served)
    write_text(out / "features.html", page)


def _headings(tables: Iterable[ScoreTable]) -> dict[ScoreGroup, str]:
    return headings_of(row for table in tables for row in table.distinct(*GROUP, "metric").to_pylist())


def _content(run: Run, dictionary: str) -> str:
    """The same for dictionaries of several runs whose evidence is the same."""
    path = run.layout.evidence_file(dictionary)
    require_files(run.layout, path)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _relatives(run: Run) -> Relatives:
    """None for a run so large that they would take more memory than all else."""
    evidences = run.open_evidence()
    return find_relatives(evidences) if len(evidences) <= _MOST_RELATED else {}


def _features(
    run: Run, scores: ScoreTable, dictionary: str, relatives: Relatives
) -> Iterator[tuple[Evidence, Findings]]:
    """A dictionary's features with what is known about them, by number, one at a time."""
    evidences = run.open_evidence(dictionary).by_feature()
    with run.open_journal() as journal, open_view([run.layout.journal]) as view:
        records = iter_records(evidences, journal.iter_explanations(dictionary), journal.iter_verdicts(dictionary))
        replies = (((dictionary, feature), answered) for feature, answered in view.iter_answered(dictionary))
        yield from findings_of(
            records, scores.find(dictionary), lent=Borrowed(evidences), relatives=relatives, replies=replies
        )


def _write_data(out: Path, name: str, content: Any) -> None:
    write_text(out / "data" / f"{name}.js", f"autointerpData({embed_json(name)},{embed_json(content)})\n")
