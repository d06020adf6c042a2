"""The command `journal`."""

from __future__ import annotations

import csv
import io
import itertools
import json
import shutil
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from autointerp.cli.display import echo, tell
from autointerp.cli.journal_text import render_asked, render_failures, render_slowest, render_summary
from autointerp.errors import ConfigError
from autointerp.run import Run
from autointerp.runs.digests import require_journal
from autointerp.runs.journal_entries import Asked, Attempt, Work
from autointerp.runs.journal_view import JournalView
from autointerp.runs.layout import RunLayout
from autointerp.runs.recovery import recover_run
from autointerp.runs.remote import open_run
from autointerp.safe_text import csv_cell

__all__ = ["register"]

_N_FAILURES = 50


def register(app: typer.Typer) -> None:
    app.command("journal")(journal)


def journal(
    run: Annotated[Path, typer.Argument(metavar="RUN", parser=open_run, help="A run's directory or address.")],
    feature: Annotated[
        str | None, typer.Option(metavar="DICTIONARY/INDEX", help="The conversation about one feature.")
    ] = None,
    key: Annotated[str | None, typer.Option(metavar="HASH", help="One request, by the start of its key.")] = None,
    failures: Annotated[bool, typer.Option("--failures", help=f"The last {_N_FAILURES} attempts that failed.")] = False,
    slowest: Annotated[
        int | None, typer.Option(metavar="N", min=1, max=1000, help="The N requests that took longest.")
    ] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="The summary as CSV.")] = False,
    recover: Annotated[
        bool, typer.Option("--recover", help="First save what can be read of a damaged journal.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show questions, answers and costs of a run, also while it is at work."""
    if sum((feature is not None, key is not None, failures, slowest is not None, as_csv)) > 1:
        raise ConfigError("--feature, --key, --failures, --slowest and --csv exclude one another; give one of them")
    if recover:
        _recover(run)
    width = shutil.get_terminal_size((120, 24)).columns
    with Run(run).open_journals() as view:
        if feature is not None:
            _show_asked(_conversation(view, feature), as_json, width)
        elif key is not None:
            _show_asked(_request(view, key), as_json, width)
        elif failures:
            failed = list(itertools.islice(view.iter_failures(), _N_FAILURES))
            echo(_json(failed) if as_json else render_failures(failed, width=width), nl=as_json)
        elif slowest is not None:
            slow = view.find_slowest(slowest)
            echo(_json(slow) if as_json else render_slowest(slow, width=width), nl=as_json)
        else:
            for layout in (RunLayout(run), *RunLayout(run).find_shards()):
                require_journal(layout)
            _show_summary(view, as_csv=as_csv, as_json=as_json, width=width)


def _recover(run: Path) -> None:
    recovered = recover_run(run)
    for journal in recovered:
        of = "" if journal.n_before is None else f" of {journal.n_before}"
        tell(
            f"{journal.n_replies}{of} replies recovered; the damaged journal is kept as {journal.damaged}; give the "
            "command that makes the run again: it asks only for what is missing"
        )
    if not recovered:
        tell("no journal is damaged")


def _show_summary(view: JournalView, *, as_csv: bool, as_json: bool, width: int) -> None:
    works, totals = view.summarise(), view.totals()
    if as_csv:
        echo(_csv(works), nl=False)
    elif as_json:
        echo(json.dumps(totals | {"by": [_work(work) for work in works]}, indent=2))
    else:
        echo(render_summary(totals, works, width=width), nl=False)


def _show_asked(asked: Iterable[Asked], as_json: bool, width: int) -> None:
    echo(_json(asked) if as_json else render_asked(asked, width=width), nl=as_json)


def _conversation(view: JournalView, text: str) -> list[Asked]:
    dictionary, _, index = text.rpartition("/")
    if not dictionary or not index.isdecimal():
        raise ConfigError(f"--feature {text}: give DICTIONARY/INDEX, for example sae/12")
    conversation = list(view.find_feature(dictionary, int(index)))
    if not conversation:
        known = "; ".join(f"{name}: {n:,} features, {low} to {high}" for name, n, low, high in view.features())
        raise ConfigError(f"--feature {text}: nothing was asked about it; asked about are {known or 'none'}")
    return conversation


def _request(view: JournalView, prefix: str) -> list[Asked]:
    if not prefix or set(prefix.lower()) - set("0123456789abcdef"):
        raise ConfigError(f"--key {prefix}: a key is hexadecimal; --failures, --slowest and --feature show some")
    requests = view.find_key(prefix.lower())
    keys = sorted({asked.key for asked in requests})
    if not keys:
        raise ConfigError(f"--key {prefix}: no request has such a key; --failures, --slowest and --feature show some")
    if len(keys) > 1:
        raise ConfigError(f"--key {prefix}: {len(keys)} requests or more begin so; give more of it, such as {keys[0]}")
    return requests


def _work(work: Work) -> dict[str, Any]:
    return asdict(work) | {"unparsed_frac": work.unparsed_frac}


def _json(rows: Iterable[Asked | Attempt]) -> str:
    return json.dumps([asdict(row) for row in rows], indent=2, ensure_ascii=False)


def _csv(works: Iterable[Work]) -> str:
    text = io.StringIO()
    rows = [_flat(work) for work in works]
    names = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(text, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: csv_cell(value) for name, value in row.items()} for row in rows)
    return text.getvalue()


def _flat(work: Work) -> dict[str, Any]:
    row = _work(work)
    for group in ("failures", "answers"):
        row |= {f"{group}.{name}": n for name, n in sorted(row.pop(group).items())}
    return row
