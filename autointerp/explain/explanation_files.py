"""Files of explanations, read into texts by source and feature.

    NAME.csv             columns feature, explanation and, if there are several dictionaries, dictionary
    NAME.json            a list of objects with these keys, or one object {"FEATURE": "explanation"}
    NAME.jsonl[.gz]      such objects, one per line; or Neuronpedia's export (layer, index, description)
    FOLDER               delphi's: SOURCE_latentFEATURE.txt, each one JSON string; a run's folder or its `explanations`

A source is the file's name for a dictionary (Neuronpedia's layer, delphi's hookpoint), or None.
"""

from __future__ import annotations

import csv
import gzip
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from autointerp.errors import InputError, UnreadableFile
from autointerp.small_files import parse_json, read_text

__all__ = ["Explanations", "read_explanation_file"]

Explanations = dict[str | None, dict[int, str]]
"""Texts by feature, by source."""

_LATENT = re.compile(r"(.+)_latent(\d+)\.txt")
_MOST_BYTES = 1_000_000_000  # limit for a file that is read whole
_KINDS = ".csv, .json, .jsonl, .jsonl.gz or delphi's folder of NAME_latentN.txt"


class _Row(NamedTuple):
    """An explanation and its place in the file; the first of several with `is_one_of_many` counts."""

    place: str
    source: str | None
    feature: Any
    text: Any
    is_one_of_many: bool = False


def read_explanation_file(path: Path) -> Explanations:
    """All non-empty explanations of a file or folder.

    Raises InputError, with the place, for a missing, unknown, malformed or empty file, or contradictory explanations.
    """
    by_source: Explanations = {}
    for row in _rows(path):
        feature, text = _feature(row), row.text
        if not isinstance(text, str):
            raise InputError(f"{row.place}: the explanation of feature {feature} is no text; give a string")
        if not text.strip():
            continue
        texts = by_source.setdefault(row.source, {})
        if texts.setdefault(feature, text.strip()) != text.strip() and not row.is_one_of_many:
            raise InputError(f"{row.place}: feature {feature} is explained twice, and differently; keep one of them")
    if not by_source:
        raise InputError(f"{path} holds no explanation; give {_KINDS}")
    return by_source


def _rows(path: Path) -> Iterator[_Row]:
    try:
        if path.is_dir():
            yield from _delphi(path)
        elif path.exists() and not path.is_file():
            raise InputError(f"{path} is no regular file; give {_KINDS}")
        elif path.name.endswith((".jsonl", ".jsonl.gz")):
            yield from _json_lines(path)
        elif path.suffix == ".json":
            yield from _json(path)
        elif path.suffix == ".csv":
            yield from _csv(path)
        elif path.exists():
            raise InputError(f"{path} is no file of explanations that is known; give {_KINDS}")
        else:
            raise InputError(f"{path} does not exist; give {_KINDS}")
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror or error}); give {_KINDS}") from error
    except (UnicodeDecodeError, EOFError, csv.Error) as error:
        raise InputError(f"{path} is damaged ({' '.join(str(error).split())}); write it anew, in UTF-8") from error


def _feature(row: _Row) -> int:
    is_whole = (isinstance(row.feature, int) and not isinstance(row.feature, bool)) or (
        isinstance(row.feature, str) and row.feature.strip().isdecimal()
    )
    if not is_whole or int(row.feature) < 0:
        raise InputError(f"{row.place}: feature {row.feature!r} is no whole number from 0 on; give the feature's index")
    return int(row.feature)


def _csv(path: Path) -> Iterator[_Row]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        missing = {"feature", "explanation"} - set(reader.fieldnames or ())
        if missing:
            raise InputError(f"{path} lacks the column '{min(missing)}'; it needs feature and explanation")
        for row in reader:
            place = f"{path}, line {reader.line_num}"
            yield _Row(place, row.get("dictionary") or None, row["feature"], row["explanation"] or "")


def _json(path: Path) -> Iterator[_Row]:
    value = _parse(_text_of(path), str(path))
    if isinstance(value, dict):
        yield from (_Row(str(path), None, feature, text) for feature, text in value.items())
    elif isinstance(value, list):
        yield from _objects((f"{path}, entry {number}", item) for number, item in enumerate(value, 1))
    else:
        raise InputError(f"{path} holds {type(value).__name__}; it needs a list of objects or one object")


def _json_lines(path: Path) -> Iterator[_Row]:
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
        lines = ((f"{path}, line {number}", line) for number, line in enumerate(file, 1) if line.strip())
        yield from _objects((place, _parse(line, place)) for place, line in lines)


def _objects(items: Iterable[tuple[str, Any]]) -> Iterator[_Row]:
    for place, item in items:
        if not isinstance(item, dict):
            raise InputError(f"{place}: {type(item).__name__} where an object is needed; give one per explanation")
        if "description" in item and "index" in item:
            yield _Row(place, _text(item.get("layer")), item["index"], item["description"] or "", is_one_of_many=True)
            continue
        missing = {"feature", "explanation"} - item.keys()
        if missing:
            raise InputError(f"{place}: '{min(missing)}' is missing; an object needs feature and explanation")
        yield _Row(place, _text(item.get("dictionary")), item["feature"], item["explanation"])


def _delphi(path: Path) -> Iterator[_Row]:
    folder = path / "explanations" if (path / "explanations").is_dir() else path
    for file in sorted(folder.iterdir()):
        named = _LATENT.fullmatch(file.name)
        if named is not None:
            yield _Row(str(file), named[1], named[2], _parse(_text_of(file), str(file)))


def _text_of(path: Path) -> str:
    try:
        return read_text(path, most_bytes=_MOST_BYTES)
    except UnreadableFile as error:
        raise InputError(f"{error}; write it anew, in UTF-8") from None


def _text(value: Any) -> str | None:
    return None if value in (None, "") else str(value)


def _parse(text: str, place: str) -> Any:
    try:
        return parse_json(text, place=place)
    except UnreadableFile as error:
        raise InputError(f"{error}; write it anew") from None
