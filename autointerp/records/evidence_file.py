"""Evidence as parquet: one file per dictionary, its rows in groups that are read one at a time. Equal evidence gives
equal bytes under one version of pyarrow.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import chain, pairwise
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq

from autointerp.errors import ArtefactError
from autointerp.records.document import Role
from autointerp.records.evidence import EVIDENCE_SCHEMA, ContextPredictability, Evidence
from autointerp.records.evidence_faults import find_fault
from autointerp.records.evidence_table import COLUMNS, from_table, missing_column, to_table
from autointerp.records.window import Kind
from autointerp.seeds import stream

__all__ = ["EvidenceFile", "Outline", "keep_features", "merge_evidence", "read_evidence", "write_evidence"]

VERSION_KEY = b"autointerp.evidence.schema_version"
NOTE_KEY = "autointerp.evidence."
ROWS_PER_GROUP = 64
pc: Any = pyarrow.compute  # whose functions are made when it is loaded
_AGAIN = "put a copy of it back, or run the harvest stage again (--from harvest)"


class Outline(NamedTuple):
    """What is known of a feature without its windows; as in `Evidence`."""

    dictionary: str
    feature: int
    density: float
    unscored: str | None
    context: ContextPredictability | None


def write_evidence(path: Path, evidence: Iterable[Evidence], *, notes: Mapping[str, str] | None = None) -> None:
    """Write all rows, or nothing; a group of rows is held at a time.

    `notes` on the collection (`packing`) go to the file's metadata under `NOTE_KEY`. Raises ArtefactError when
    impossible or for faulty rows (such as non-finite codes).
    """
    path = Path(path)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    said = {f"{NOTE_KEY}{name}": value for name, value in (notes or {}).items()}
    schema = pa.schema(COLUMNS.items(), metadata={VERSION_KEY: str(EVIDENCE_SCHEMA).encode(), **said})
    options = {"compression": "zstd", "write_statistics": False, "write_page_checksum": True}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with pq.ParquetWriter(partial, schema, **options) as writer:
            for group in _groups(evidence):
                table = to_table(group)
                fault = find_fault(table)
                if fault is not None:
                    raise ArtefactError(f"{path} is not written, for no judge could be asked about it: {fault}")
                writer.write_table(table.cast(schema), row_group_size=ROWS_PER_GROUP)
        partial.replace(path)
    except OSError as error:
        raise ArtefactError(
            f"{path} cannot be written ({error.strerror or error}); free space or choose --out"
        ) from error
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def read_evidence(path: Path, *, dictionary: str | None = None) -> list[Evidence]:
    """All rows, which must be about `dictionary` where given. Raises ArtefactError as `EvidenceFile` does."""
    file = EvidenceFile(path, dictionary=dictionary)
    return [evidence for number in range(file.n_groups) for evidence in file.read_group(number)]


class EvidenceFile:
    """A file whose rows are read a group at a time.

    Opening and reading raise ArtefactError when it is missing, damaged, of another schema version, or not about
    `dictionary` where given.
    """

    def __init__(self, path: Path, *, dictionary: str | None = None) -> None:
        self._path, self._dictionary = Path(path), dictionary
        if not self._path.is_file():
            raise ArtefactError(f"{path} does not exist; run the harvest stage first")
        with self._reading():
            self._file = pq.ParquetFile(self._path, page_checksum_verification=True)
            self._check_schema(self._file.schema_arrow)
            sizes = [self._file.metadata.row_group(i).num_rows for i in range(self._file.num_row_groups)]
            self.outlines = self._outlines()
        self.edges = np.concatenate([[0], np.cumsum(sizes)]).astype(int)
        """Rows before each group, and all."""

    @property
    def n_groups(self) -> int:
        return len(self.edges) - 1

    def read_group(self, number: int, rows: Sequence[int] | None = None) -> list[Evidence]:
        """The rows of a group, or some of them by place in the group."""
        with self._reading():
            table = self._file.read_row_group(number)
            table.validate(full=True)
            fault = find_fault(table.select(list(COLUMNS)), dictionary=self._dictionary)
            if fault is not None:
                raise self._damage(fault)
            return from_table(table if rows is None else table.take(pa.array(rows, pa.int64())))

    def count_windows(self, role: Role, kind: Kind) -> np.ndarray:
        """Windows of a role and kind per row; no other column is read."""
        with self._reading():
            table = self._file.read(columns=["windows.list.element.role", "windows.list.element.kind"])
        column = table.column("windows").combine_chunks()
        windows = column.flatten()
        is_counted = pc.and_(pc.equal(windows.field("role"), role), pc.equal(windows.field("kind"), kind))
        owners = pc.list_parent_indices(column).filter(is_counted).to_numpy()
        return np.bincount(owners, minlength=table.num_rows)

    def notes(self) -> dict[str, str]:
        """As given to `write_evidence`."""
        metadata = self._file.schema_arrow.metadata or {}
        return {
            key.decode().removeprefix(NOTE_KEY): value.decode()
            for key, value in metadata.items()
            if key.decode().startswith(NOTE_KEY) and key != VERSION_KEY
        }

    def _outlines(self) -> list[Outline]:
        table = self._file.read(columns=[*Outline._fields])
        for name in ("dictionary", "feature", "density"):
            if table.column(name).null_count:
                raise self._damage(f"'{name}' is empty somewhere")
        names, features, densities, reasons, contexts = (table.column(name).to_pylist() for name in Outline._fields)
        known = (context and ContextPredictability(**context) for context in contexts)
        outlines = list(map(Outline, names, features, densities, reasons, known))
        seen: set[int] = set()
        for outline in outlines:
            if outline.feature in seen:
                raise self._damage(f"feature {outline.feature} has two rows")
            seen.add(outline.feature)
            if not isfinite(outline.density):
                raise self._damage("'density' holds a number that is not finite")
        return outlines

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise ArtefactError(f"{self._path} is damaged ({reason}); {_AGAIN}") from error

    def _damage(self, fault: str) -> ArtefactError:
        return ArtefactError(f"{self._path} is damaged: {fault}; {_AGAIN}")

    def _check_schema(self, schema: pa.Schema) -> None:
        version = (schema.metadata or {}).get(VERSION_KEY)
        if version is None:
            raise ArtefactError(
                f"{self._path} is no evidence file of this package; point to a run's evidence/NAME.parquet"
            )
        if version != str(EVIDENCE_SCHEMA).encode():
            raise ArtefactError(
                f"{self._path} has evidence schema version {version.decode(errors='replace')}, this package reads "
                f"{EVIDENCE_SCHEMA}; harvest again, or use the version of the package that wrote it"
            )
        missing = missing_column(schema)
        if missing is not None:
            raise ArtefactError(f"{self._path} lacks the column '{missing}' or has another type for it; harvest again")


def keep_features(path: Path, n: int, *, dictionary: str) -> None:
    """Leave `n` rows in the file, by chance; those of a smaller `n` are among those of a larger one. Raises as reading
    and writing do.
    """
    file = EvidenceFile(path, dictionary=dictionary)
    n_rows = int(file.edges[-1])
    if n >= n_rows:
        return
    chosen = np.sort(stream(0, "kept", dictionary).permutation(n_rows)[:n])
    own = (chosen[(chosen >= start) & (chosen < end)] - start for start, end in pairwise(file.edges))
    parts = (file.read_group(number, rows.tolist()) for number, rows in enumerate(own) if len(rows))
    write_evidence(path, chain.from_iterable(parts), notes=file.notes())


def merge_evidence(parts: Iterable[Sequence[Evidence]]) -> list[Evidence]:
    """Evidence about disjoint features, ordered by dictionary and feature; equal rows count once.

    Raises ArtefactError for two different rows of one feature. Parts that split tokens are merged earlier
    (`harvest.statistics`, `harvest.windows`), since samples depend on all tokens.
    """
    by_feature: dict[tuple[str, int], Evidence] = {}
    for item in chain.from_iterable(parts):
        key = (item.dictionary, item.feature)
        if by_feature.setdefault(key, item) != item:
            raise ArtefactError(
                f"feature {item.feature} of dictionary '{item.dictionary}' has two different rows of evidence; "
                "merge parts of one harvest only"
            )
    return [by_feature[key] for key in sorted(by_feature)]


def _groups(evidence: Iterable[Evidence]) -> Iterator[list[Evidence]]:
    """At least one group: a file without features has its columns too."""
    group: list[Evidence] = []
    is_empty = True
    for each in evidence:
        group.append(each)
        if len(group) == ROWS_PER_GROUP:
            yield group
            group, is_empty = [], False
    if group or is_empty:
        yield group
