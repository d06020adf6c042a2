"""What the finished stages of a run left, as digests in its manifest, and whether it is still that.

A stage's line holds `files` (size and sha256 by path) and, where the stage recorded something in the journal,
`journal`: for each table the rows by dictionary and the sha256 of all of them. Beside the lines stands `replies`, the
digest of what was answered when a stage ended last. Runs of older releases have none of these and are taken as they
are, but for rows that are fewer than their lines say.
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
"""What the lines of older releases say of their rows."""
_UNHASHED = {"sae_weights.safetensors", "history.jsonl"}
"""Weights are large, and the cfg.json beside them states their hash; of the history nothing is made."""


def finish_stage(
    manifest: Manifest, layout: RunLayout, stage: str, facts: Mapping[str, Any], *, dictionaries: Iterable[str]
) -> None:
    """Write a stage's line with the digests of what it left. Everything must be on disk before."""
    files = {_name(layout, path): _digest(path) for path in _files(layout, stage, dictionaries) if path.is_file()}
    manifest.finish(stage, {**facts, **({"files": files} if files else {})})
    if stage in _TABLES:
        seal_journal(manifest, layout, stages=[stage])


def seal_journal(manifest: Manifest, layout: RunLayout, *, stages: Iterable[str] = tuple(_TABLES)) -> None:
    """State in the manifest what the journal holds of the finished ones among `stages`, and its replies."""
    if not layout.journal.is_file():
        return
    for stage in stages:
        if manifest.is_done(stage):
            found = {table: digest_table(layout.journal, table) for table in _TABLES[stage]}
            manifest.finish(stage, manifest.facts(stage) | {"journal": found})
    manifest.note("replies", digest_replies(layout.journal))


@contextmanager
def unsealed_journal(manifest: Manifest, layout: RunLayout) -> Iterator[None]:
    """Within the block the journal is changed in another way than by a stage, and the manifest states nothing of it; a
    kill leaves it so, and the run is taken as it is."""
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
    """The files of a dictionary that the line of its training vouches for, as far as they are there."""
    folder = layout.dictionary(name)
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    return [path for path in found if path.is_file() and path.name not in _UNHASHED]


def is_stated(layout: RunLayout, path: Path) -> bool:
    """Whether a stage's line says that it left the file."""
    whole = RunLayout(layout.root)
    stages = read_manifest(whole)["stages"] if whole.is_run() else {}
    return any(_name(whole, path) in line.get("files", {}) for line in stages.values())


def require_files(layout: RunLayout, *paths: Path) -> None:
    """Raise ArtefactError for a file that is missing, or no longer what its stage left, and name the command that makes
    it anew."""
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
    """Raise ArtefactError when the journal lacks, or holds changed, what `stages` recorded there, as far as they are
    finished, or the replies it held when one was."""
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
    """Whether the replies that the journal held when a stage ended last are in it as they were. Others may have come
    after, unless all is asked."""
    content = read_manifest(layout)
    wanted = content.get("replies")
    last = None if wanted is None or "score" in content["stages"] else wanted["last"]
    return wanted is None or digest_replies(layout.journal, last=last) == wanted


def _files(layout: RunLayout, stage: str, dictionaries: Iterable[str]) -> list[Path]:
    """The files that a stage leaves."""
    if stage == "train":
        return [path for name in dictionaries for path in dictionary_files(layout, name)]
    if stage == "harvest":
        return [layout.evidence_file(name) for name in dictionaries]
    return [layout.scores, layout.summary, layout.report] if stage == "report" else []


def _maker(layout: RunLayout, path: Path) -> str:
    """The stage that leaves a file."""
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
    """How many rows a line speaks of, whichever release wrote it."""
    found = [sum(rows["rows"].values()) for rows in line.get("journal", {}).values()]
    return sum(found) if found else sum(n for key in _COUNTED.values() if isinstance(n := line.get(key), int))


def _fault(journal: Path, table: str, line: Mapping[str, Any]) -> str | None:
    """In what the journal's rows differ from what a stage's line says of them."""
    wanted = line.get("journal", {}).get(table)
    if wanted is None:
        n, n_before = count_rows(journal, table), line.get(_COUNTED.get(table, ""), 0)
        return f"holds fewer {table} ({n:,} of {n_before:,})" if isinstance(n_before, int) and n < n_before else None
    found = digest_table(journal, table)
    if found == wanted:
        return None
    for name, n_before in wanted["rows"].items():
        if (n := found["rows"].get(name, 0)) != n_before:
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
