"""Ways in which a file of a run can be damaged, swapped or edited, each drawn from a generator: bytes and values.

`mutate` does one of them to one file below a run's folder and says in words what it did.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

__all__ = ["mutate", "targets"]

Rng = np.random.Generator
Mutation = Callable[[Path, Rng], str | None]
"""What it did, or None where the file does not allow it."""

_UNREAD = ("log.txt", ".lock")
_ODD_NUMBERS = ("0", "-1", "1e308", "-1e308", "1e999", "NaN", "Infinity", "9" * 400, "9" * 5000, str(2**63), str(2**64))
_ODD_VALUES = (
    "null",
    "true",
    '""',
    '"\\ud800"',
    "[]",
    "{}",
    "[[[[]]]]",
    "[" * 3000 + "]" * 3000,
    '{"a": ' * 90 + "1" + "}" * 90,
)


def targets(root: Path) -> list[Path]:
    """The files of a run that say something, by name."""
    found = sorted(path for path in root.rglob("*") if path.is_file() and not path.name.endswith(_UNREAD))
    return [path.relative_to(root) for path in found]


def mutate(root: Path, other: Path, relative: Path, rng: Rng) -> str:
    """Do one thing to a file of the run in `root`; `other` is another run with files of the same names."""
    path = root / relative
    while True:
        kind = _draw(rng, [*_OF_BYTES, *_OF_FILES, *(_BY_SUFFIX.get(path.suffix, ()) * 4)])
        did = kind(path, rng)
        if did == "swap":
            did = _swap(root, other, relative, rng)
        if did is not None:
            return f"{relative}: {did}"


def _draw(rng: Rng, items: Sequence[Any]) -> Any:
    return items[int(rng.integers(len(items)))]


# bytes


def _flip_bits(path: Path, rng: Rng) -> str:
    content = bytearray(path.read_bytes())
    places = [int(rng.integers(len(content))) for _ in range(int(_draw(rng, [1, 1, 1, 8])))]
    for place in places:
        content[place] ^= 1 << int(rng.integers(8))
    path.write_bytes(content)
    return f"bits flipped in bytes {places}"


def _zero(path: Path, rng: Rng) -> str:
    content = bytearray(path.read_bytes())
    start, length = int(rng.integers(len(content))), int(_draw(rng, [1, 64, 4096]))
    if not any(content[start : start + length]):
        return "nothing: these bytes were zero"
    content[start : start + length] = bytes(len(content[start : start + length]))
    path.write_bytes(content)
    return f"{length} bytes from {start} on zeroed"


def _truncate(path: Path, rng: Rng) -> str:
    size = int(rng.integers(path.stat().st_size))
    os.truncate(path, size)
    return f"cut to {size} bytes"


def _empty(path: Path, rng: Rng) -> str:
    os.truncate(path, 0)
    return "emptied"


def _append(path: Path, rng: Rng) -> str:
    with path.open("ab") as file:
        file.write(bytes(rng.integers(256, size=int(_draw(rng, [1, 100, 5000])), dtype=np.uint8)))
    return "bytes appended"


def _grow(path: Path, rng: Rng) -> str:
    os.truncate(path, 10**10)
    return "grown to 10 GB"


# files


def _delete(path: Path, rng: Rng) -> str:
    path.unlink()
    return "deleted"


def _make_folder(path: Path, rng: Rng) -> str:
    path.unlink()
    path.mkdir()
    return "a folder in its place"


def _make_pipe(path: Path, rng: Rng) -> str:
    path.unlink()
    os.mkfifo(path)
    return "a pipe in its place"


def _make_link(path: Path, rng: Rng) -> str:
    path.unlink()
    target = _draw(rng, ["/dev/zero", "/dev/null", "nowhere", path.name])
    path.symlink_to(target)
    return f"a link to {target} in its place"


def _ask_swap(path: Path, rng: Rng) -> str:
    return "swap"


def _swap(root: Path, other: Path, relative: Path, rng: Rng) -> str | None:
    """Another file of its kind in its place: of this run, or of the other one."""
    path = root / relative
    kin = [root / name for name in targets(root) if name.suffix == relative.suffix and name != relative]
    source = _draw(rng, [other / relative, *kin])
    if not source.is_file() or source.read_bytes() == path.read_bytes():
        return None
    shutil.copyfile(source, path)
    return f"{source.relative_to(root) if source.is_relative_to(root) else f'the other run: {relative}'} in its place"


# values


def _edit_json(path: Path, rng: Rng) -> str | None:
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return None
    places = list(_places(tree))
    holder, key = _draw(rng, places)
    before, how = holder[key], _draw(rng, ["number", "odd", "delete", "double", "move"])
    raw = None
    if how == "delete":
        del holder[key]
    elif how == "double" and isinstance(holder, list):
        holder.append(before)
    elif isinstance(before, int | float) and not isinstance(before, bool) and how in ("number", "move"):
        holder[key] = _draw(rng, [before + 1, before * 1.01, -before - 1, before / 2])
    elif isinstance(before, str) and how in ("number", "move"):
        holder[key] = before[1:] + "x"
    else:
        raw = _draw(rng, [*_ODD_NUMBERS, *_ODD_VALUES])
        holder[key] = "@@@"
    text = json.dumps(tree, indent=1)
    path.write_text(text if raw is None else text.replace('"@@@"', raw), encoding="utf-8")
    return f"{key!r}: {str(before)[:40]!r} {how} {'' if raw is None else raw[:20]}"


def _places(tree: Any) -> Any:
    for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
        yield tree, key
        if isinstance(value, dict | list):
            yield from _places(value)


def _edit_toml(path: Path, rng: Rng) -> str | None:
    text = path.read_text(encoding="utf-8")
    found = list(re.finditer(r"(?m)^(\w+) = (.+)$", text))
    if not found:
        return None
    line = _draw(rng, found)
    value = _draw(rng, [*_ODD_NUMBERS, "[" * 3000 + "]" * 3000, "'other'", "1", "true", None, None])
    if value is None and re.fullmatch(r"-?\d+(\.\d+)?", line[2]):
        value = str(float(line[2]) + 1) if "." in line[2] else str(int(line[2]) + 1)
    path.write_text(text[: line.start(2)] + (value or "''") + text[line.end(2) :], encoding="utf-8")
    return f"{line[1]} = {(value or '')[:20]} for {line[2][:20]}"


def _edit_parquet(path: Path, rng: Rng) -> str | None:
    """Rows or cells edited, and the file written anew, whole and with right checksums."""
    table = pq.read_table(path)
    rows = table.to_pylist()
    how = _draw(rng, ["cell", "cell", "cell", "double", "drop", "shuffle", "column", "deep", "deep", "deep"])
    row = _draw(rng, rows)
    did = how
    if how == "double":
        rows.append(row)
    elif how == "drop":
        rows.remove(row)
    elif how == "shuffle":
        rows = [rows[int(place)] for place in rng.permutation(len(rows))]
    elif how == "column":
        name = _draw(rng, table.schema.names)
        pq.write_table(table.drop_columns([name]), path)
        return f"column {name} dropped"
    else:
        holder, key = _draw(rng, [(row, key) for key in row] if how == "cell" else list(_places(row)))
        changed = _changed(holder[key], rng)
        did = f"{key!r}: {str(holder[key])[:30]!r} -> {str(changed)[:30]!r}"
        holder[key] = changed
    try:
        edited = pa.Table.from_pylist(rows, schema=table.schema)
    except (pa.ArrowException, OverflowError, TypeError, ValueError):
        return None
    pq.write_table(edited, path, compression="zstd", write_page_checksum=True)
    return did


def _changed(value: Any, rng: Rng) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return _draw(rng, [value + 1, -1, 0, 10**6, 2**31 - 1])
    if isinstance(value, float):
        return _draw(rng, [value * 1.5 + 0.1, 0.0, -1.0, float("nan"), float("inf"), 1e300])
    if isinstance(value, str):
        return _draw(rng, ["", value[1:], value + " x", "neurons", "sae"])
    if isinstance(value, list):
        return _draw(rng, [[], value[:-1], value + value[-1:], value[::-1]])
    return None


def _edit_sqlite(path: Path, rng: Rng) -> str | None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        query = "SELECT name FROM sqlite_master WHERE type = 'table'"
        names = [name for (name,) in connection.execute(query)]
        counts = {name: connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in names}
        filled = [name for name in names if counts[name]]
        how = _draw(rng, ["cell", "cell", "cell", "cell", "half", "all", "row", "drop", "version", "double"])
        table = _draw(rng, filled) if filled else None
        if how == "version" or table is None:
            pragma = _draw(rng, ["user_version", "application_id"])
            connection.execute(f"PRAGMA {pragma} = 77")
            return f"{pragma} changed"
        columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
        key = ", ".join(columns[:4])
        try:
            return _edit_table(connection, table, columns, key, how, rng)
        except (sqlite3.Error, OverflowError, UnicodeError):
            return None


def _edit_table(
    connection: sqlite3.Connection, table: str, columns: list[str], key: str, how: str, rng: Rng
) -> str | None:
    if how == "drop":
        connection.execute(f"DROP TABLE {table}")
        return f"table {table} dropped"
    rows = connection.execute(f"SELECT * FROM {table}").fetchall()
    if how in ("half", "all", "row"):
        gone = {"half": rows[::2], "all": rows, "row": [_draw(rng, rows)]}[how]
        where = " AND ".join(f"{column} IS ?" for column in columns)
        connection.executemany(f"DELETE FROM {table} WHERE {where}", gone)
        return f"{len(gone)} of {len(rows)} rows of {table} deleted"
    row, place = list(_draw(rng, rows)), int(rng.integers(len(columns)))
    before = row[place]
    if how == "double":
        row[0] = f"{row[0]}x"
        connection.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", row)
        return f"a row of {table} doubled under another name"
    value = _draw(rng, [_changed(before, rng), _changed(before, rng), b"\xff\xfe", "\x1b[31m", 1e308, -1, 2**62, None])
    where = " AND ".join(f"{column} IS ?" for column in columns)
    connection.execute(f"UPDATE {table} SET {columns[place]} = ? WHERE {where}", [value, *row])
    return f"{table}.{columns[place]}: {str(before)[:30]!r} -> {str(value)[:30]!r}"


_OF_BYTES: list[Mutation] = [_flip_bits, _flip_bits, _flip_bits, _zero, _truncate, _empty, _append, _grow]
_OF_FILES: list[Mutation] = [_delete, _make_folder, _make_pipe, _make_link, _ask_swap, _ask_swap]
_BY_SUFFIX: dict[str, tuple[Mutation, ...]] = {
    ".json": (_edit_json,) * 3,
    ".toml": (_edit_toml,) * 2,
    ".parquet": (_edit_parquet,) * 3,
    ".sqlite": (_edit_sqlite,) * 4,
}
