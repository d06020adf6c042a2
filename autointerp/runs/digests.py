"""Digests of finished stages' results, in the manifest, and checks against them.

A stage's line holds `files` (size and sha256 by path) and `journal` (rows by dictionary and sha256, per table);
`replies` is the digest of all replies when a stage last ended. Older runs lack these; only missing rows are noticed
there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from autointerp.errors import ArtefactError
from autointerp.runs.journal_digests import count_rows, digest_replies, digest_table
from autointerp.runs.layout import RunLayout
from autointerp.runs.manifest import Manifest, read_manifest

__all__ = [
    "dictionary_files",
    "finish_stage",
    "has_its_replies",
    "is_stated",
    "require_files",
    "require_journal",
    "seal_journal",
    "unsealed_journal",
]

_TABLES: Mapping[str, Sequence[str]] = {"explain": ("explanations",), "score": ("verdicts", "unscored")}
_COUNTED = {"explanations": "n_explanations", "verdicts": "n_verdicts"}
"""Row counts in the lines of older releases."""
_UNHASHED = {"sae_weights.safetensors", "history.jsonl"}
"""The weights' hash is in cfg.json; the history is not used."""


def finish_stage(
    manifest: Manifest, layout: RunLayout, stage: str, facts: Mapping[str, Any], *, dictionaries: Iterable[str]
) -> None:
    """Write a stage's line with digests of its results, which must be on disk."""
    files = {_name(layout, path): _digest(path) for path in _files(layout, stage, dictionaries) if path.is_file()}
    manifest.finish(stage, {**facts, **({"files": files} if files else {})})
    if stage in _TABLES:
        seal_journal(manifest, layout, stages=[stage])


def seal_journal(manifest: Manifest, layout: RunLayout, *, stages: Iterable[str] = tuple(_TABLES)) -> None:
    """Note digests of the journal's content for the finished ones of `stages`, and of its replies."""
    if not layout.journal.is_file():
        return
    for stage in stages:
        if manifest.is_done(stage):
            tables = {table: digest_table(layout.journal, table) for table in _TABLES[stage]}
            manifest.finish(stage, manifest.facts(stage) | {"journal": tables})
    manifest.note("replies", digest_replies(layout.journal))


@contextmanager
def unsealed_journal(manifest: Manifest, layout: RunLayout) -> Iterator[None]:
    """Allow changes of the journal outside of stages: inside, its digests are removed, so that after a kill the run
    counts as it is.
    """
    manifest.drop("replies")
    for stage in _TABLES:
        facts = manifest.facts(stage)
        if facts.pop("journal", None) is not None:
            manifest.finish(stage, facts)
    try:
        yield
    finally:
        seal_journal(manifest, layout)


def dictionary_files(layout: RunLayout, name: str) -> list[Path]:
    """Existing files of a dictionary covered by its training's digests."""
    folder = layout.dictionary(name)
    paths = sorted(folder.iterdir()) if folder.is_dir() else []
    return [path for path in paths if path.is_file() and path.name not in _UNHASHED]


def is_stated(layout: RunLayout, path: Path) -> bool:
    """Whether a stage's digests cover the file."""
    whole = RunLayout(layout.root)
    stages = read_manifest(whole)["stages"] if whole.is_run() else {}
    return any(_name(whole, path) in line.get("files", {}) for line in stages.values())


def require_files(layout: RunLayout, *paths: Path) -> None:
    """Raise ArtefactError for a missing or changed file, naming the command that remakes it."""
    whole = RunLayout(layout.root)
    stages = read_manifest(whole)["stages"] if whole.is_run() else {}
    for path in paths:
        maker = _maker(whole, path)
        line = stages.get(maker, {})
        if not path.is_file():
            what = "is no regular file" if path.exists() else "does not exist"
            raise ArtefactError(f"{path} {what}; {_remedy(whole, maker, line, stages)}")
        wanted = line.get("files", {}).get(_name(whole, path))
        if wanted is not None and (path.stat().st_size != wanted["n_bytes"] or _digest(path) != wanted):
            raise ArtefactError(
                f"{path} is damaged: not what the stage '{maker}' wrote (its size or sha256 differs); "
                f"{_remedy(whole, maker, line, stages)}"
            )


def require_journal(layout: RunLayout, *, stages: Iterable[str] = tuple(_TABLES)) -> None:
    """Raise ArtefactError when the journal's rows of finished `stages`, or its replies, are missing or changed."""
    if not layout.is_run():
        return
    content = read_manifest(layout)
    lines = {stage: content["stages"][stage] for stage in _TABLES if stage in stages and stage in content["stages"]}
    if not layout.journal.is_file() or not layout.journal.stat().st_size:
        if any(_n_recorded(line) for line in lines.values()):
            raise _lost(layout)
        return
    for stage, line in lines.items():
        for table in _TABLES[stage]:
            fault = _fault(layout.journal, table, line)
            if fault is not None:
                raise ArtefactError(
                    f"journal {layout.journal} {fault} than the stage '{stage}' recorded; put a copy of it back, or "
                    f"{layout.remake('explain' if table == 'explanations' else 'score')} makes them of its replies, "
                    "which are not asked for again"
                )
    if not has_its_replies(layout):
        raise ArtefactError(
            f"journal {layout.journal} is damaged: not the replies that it held when a stage ended; put a copy of it "
            f"back, or `autointerp journal {layout.root} --recover` saves what can be read"
        )


def has_its_replies(layout: RunLayout) -> bool:
    """Whether the replies at the last stage's end are unchanged; later ones are allowed until scoring is done."""
    content = read_manifest(layout)
    wanted = content.get("replies")
    # after scoring no reply may have been added
    last = None if wanted is None or "score" in content["stages"] else wanted["last"]
    return wanted is None or digest_replies(layout.journal, last=last) == wanted


def _files(layout: RunLayout, stage: str, dictionaries: Iterable[str]) -> list[Path]:
    if stage == "train":
        return [path for name in dictionaries for path in dictionary_files(layout, name)]
    if stage == "harvest":
        return [layout.evidence_file(name) for name in dictionaries]
    return [layout.scores, layout.summary, layout.report] if stage == "report" else []


def _maker(layout: RunLayout, path: Path) -> str:
    folder = _name(layout, path).partition("/")[0]
    return {layout.dictionaries.name: "train", layout.evidence.name: "harvest"}.get(folder, "report")


def _remedy(layout: RunLayout, stage: str, line: Mapping[str, Any], stages: Mapping[str, Any]) -> str:
    if not layout.root.is_dir():
        return "give the folder of a run, as named by --out"
    if "taken_from" in line:
        return f"copy it again from the run '{line['taken_from']}', whose evidence this run was made from"
    if layout.is_run() and stage not in stages:
        return f"the stage '{stage}' is not finished; {layout.go_on()} goes on"
    return f"{layout.remake(stage)} makes it anew"


def _lost(layout: RunLayout) -> ArtefactError:
    what = "is empty" if layout.journal.is_file() else "does not exist"
    return ArtefactError(
        f"journal {layout.journal} {what}, though stages of this run recorded in it; put a copy of it back, or "
        f"{layout.remake('explain')} asks again what the shared cache does not hold"
    )


def _n_recorded(line: Mapping[str, Any]) -> int:
    """Rows stated by a line of any release."""
    counts = [sum(rows["rows"].values()) for rows in line.get("journal", {}).values()]
    return sum(counts) if counts else sum(n for key in _COUNTED.values() if isinstance(n := line.get(key), int))


def _fault(journal: Path, table: str, line: Mapping[str, Any]) -> str | None:
    """Difference of a table's rows from a stage's line; None without one."""
    wanted = line.get("journal", {}).get(table)
    if wanted is None:
        n, n_before = count_rows(journal, table), line.get(_COUNTED.get(table, ""), 0)
        return f"holds fewer {table} ({n:,} of {n_before:,})" if isinstance(n_before, int) and n < n_before else None
    present = digest_table(journal, table)
    if present == wanted:
        return None
    for name, n_before in wanted["rows"].items():
        if (n := present["rows"].get(name, 0)) != n_before:
            return f"holds other {table} ({n:,} of '{name}', not {n_before:,})"
    return f"holds other {table} (their sha256 differs)"


def _name(layout: RunLayout, path: Path) -> str:
    return path.relative_to(layout.root).as_posix()


def _digest(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            return {"n_bytes": file.tell(), "sha256": digest}
    except OSError as error:
        raise ArtefactError(f"{path} cannot be read ({error.strerror or error})") from None
