"""Evidence as an arrow table: one row per feature, with nested structs and lists."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from autointerp.records.evidence import (
    ContextPredictability,
    Evidence,
    FiringCounts,
    FiringRule,
    Neighbour,
    NeuronMatch,
    PinnedEffect,
    TokenEffect,
    TokenUse,
)
from autointerp.records.window import Window

__all__ = ["COLUMNS", "from_table", "missing_column", "to_table"]

EFFECT = pa.struct({"token_id": pa.int32(), "text": pa.string(), "logit": pa.float64(), "n_seen": pa.int64()})
USE = pa.struct({"token_id": pa.int32(), "text": pa.string(), "n_firing": pa.int64(), "n_tokens": pa.int64()})
WINDOW_FIELDS: dict[str, pa.DataType] = {
    "id": pa.string(),
    "document": pa.string(),
    "offset": pa.int64(),
    "role": pa.string(),
    "kind": pa.string(),
    "bin": pa.int32(),
    "text": pa.string(),
    "token_ids": pa.list_(pa.int32()),
    "token_starts": pa.list_(pa.int32()),
    "activations": pa.list_(pa.float64()),
    "candidate": pa.int32(),
    "ends_document": pa.bool_(),
}
LATER = frozenset({"n_seen", "ends_document"})
"""Fields that evidence of earlier versions lacks; they are None then."""
RULE = pa.struct({"kind": pa.string(), "threshold": pa.float64(), "sign": pa.int8(), "target_density": pa.float64()})
CONTEXT = pa.struct(
    {
        "auroc": pa.float64(),
        "shuffled_auroc": pa.float64(),
        "n_tokens": pa.int64(),
        "n_firing": pa.int64(),
        "n_silent": pa.int64(),
    }
)
PINNED = pa.struct(
    {"raised": pa.list_(EFFECT), "lowered": pa.list_(EFFECT), "kl": pa.float64(), "strength": pa.float64()}
)
FIRING_COUNTS = pa.struct(
    {
        "explain_bins": pa.list_(pa.int64()),
        "score_bins": pa.list_(pa.int64()),
        "n_windows": pa.int64(),
        "n_firing": pa.int64(),
    }
)
NEIGHBOUR = pa.struct({"feature": pa.int64(), "cosine": pa.float64(), "co_firing": pa.float64()})
COLUMNS: dict[str, pa.DataType] = {
    "dictionary": pa.string(),
    "feature": pa.int64(),
    "site": pa.string(),
    "rule": RULE,
    "n_tokens": pa.int64(),
    "n_firing": pa.int64(),
    "density": pa.float64(),
    "max_activation": pa.float64(),
    "histogram_edges": pa.list_(pa.float64()),
    "histogram_counts": pa.list_(pa.int64()),
    "windows": pa.list_(pa.struct(WINDOW_FIELDS)),
    "top_logits": pa.list_(EFFECT),
    "bottom_logits": pa.list_(EFFECT),
    "token_uses": pa.list_(USE),
    "neuron": pa.struct({"index": pa.int32(), "correlation": pa.float64()}),
    "context": CONTEXT,
    "pinned": PINNED,
    "counts": FIRING_COUNTS,
    "neighbours": pa.list_(NEIGHBOUR),
    "unscored": pa.string(),
}


def to_table(evidence: Sequence[Evidence]) -> pa.Table:
    """Columns `COLUMNS`, rows in order."""
    columns: dict[str, pa.Array] = {}
    for name, kind in COLUMNS.items():
        if name == "windows":
            columns[name] = _window_column([e.windows for e in evidence])
        elif pa.types.is_struct(kind) or (pa.types.is_list(kind) and pa.types.is_struct(kind.value_type)):
            columns[name] = pa.array([_plain(getattr(e, name)) for e in evidence], kind)
        else:
            columns[name] = pa.array([getattr(e, name) for e in evidence], kind)
    return pa.Table.from_arrays(list(columns.values()), schema=pa.schema(COLUMNS.items()))


def missing_column(schema: pa.Schema) -> str | None:
    """The first column that is missing or of another type than this or an earlier version writes."""
    for name, kind in COLUMNS.items():
        if name not in schema.names or schema.field(name).type not in (kind, _without_later(kind)):
            return name
    return None


def _without_later(kind: pa.DataType) -> pa.DataType:
    """The type as earlier versions wrote it."""
    if pa.types.is_list(kind):
        return pa.list_(_without_later(kind.value_type))
    if not pa.types.is_struct(kind):
        return kind
    return pa.struct([(field.name, _without_later(field.type)) for field in kind if field.name not in LATER])


def _plain(value: Any) -> Any:
    """Records as dicts for pyarrow."""
    if value is None:
        return None
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if not hasattr(value, "__slots__"):
        return value
    return {name: _plain(getattr(value, name)) for name in value.__slots__}


def _window_column(rows: list[tuple[Window, ...]]) -> pa.Array:
    """From flat buffers: one dictionary per window would take minutes."""
    windows = list(chain.from_iterable(rows))
    fields: list[pa.Array] = []
    for name, kind in WINDOW_FIELDS.items():
        values = [getattr(window, name) for window in windows]
        fields.append(_list_array(values, kind.value_type) if pa.types.is_list(kind) else pa.array(values, kind))
    struct = pa.StructArray.from_arrays(fields, fields=list(pa.struct(WINDOW_FIELDS)))
    return pa.ListArray.from_arrays(_offsets(rows), struct)


def _list_array(values: Sequence[Sequence[Any]], kind: pa.DataType) -> pa.Array:
    offsets = _offsets(values)
    flat = np.fromiter(chain.from_iterable(values), dtype=kind.to_pandas_dtype(), count=int(offsets[-1].as_py()))
    return pa.ListArray.from_arrays(offsets, pa.array(flat, kind))


def _offsets(values: Sequence[Sequence[Any]]) -> pa.Array:
    sizes = np.fromiter((len(value) for value in values), dtype=np.int64, count=len(values))
    return pa.array(np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32), pa.int32())


def from_table(table: pa.Table) -> list[Evidence]:
    """The rows of a table with the columns `COLUMNS`, `LATER` fields perhaps missing."""
    names = [name for name in COLUMNS if name != "windows"]
    rows = table.select(names).to_pylist()
    windows = _windows_of(table.column("windows").combine_chunks())
    return [_evidence(row, windows_of_row) for row, windows_of_row in zip(rows, windows, strict=True)]


def _windows_of(column: Any) -> list[tuple[Window, ...]]:
    column = pa.concat_arrays(column.chunks) if isinstance(column, pa.ChunkedArray) else column
    struct = column.flatten()
    fields = {
        name: _tuples(struct.field(name)) if pa.types.is_list(kind) else struct.field(name).to_pylist()
        for name, kind in WINDOW_FIELDS.items()
        if name not in LATER or struct.type.get_field_index(name) >= 0
    }
    windows = [Window(*values) for values in zip(*fields.values(), strict=True)]
    edges = np.concatenate([[0], np.cumsum(column.value_lengths().to_numpy(zero_copy_only=False))]).astype(int)
    return [tuple(windows[a:b]) for a, b in pairwise(edges)]


def _tuples(column: Any) -> list[tuple[Any, ...]]:
    # one object per distinct value, shared by all windows that hold it
    encoded = column.flatten().dictionary_encode()
    values = np.array(encoded.dictionary.to_pylist(), dtype=object)
    flat = values[encoded.indices.to_numpy()].tolist() if len(values) else []
    edges = np.concatenate([[0], np.cumsum(column.value_lengths().to_numpy(zero_copy_only=False))]).astype(int)
    return [tuple(flat[a:b]) for a, b in pairwise(edges)]


def _evidence(row: dict[str, Any], windows: tuple[Window, ...]) -> Evidence:
    return Evidence(
        **{
            **row,
            "rule": FiringRule(**row["rule"]),
            "histogram_edges": tuple(row["histogram_edges"]),
            "histogram_counts": tuple(row["histogram_counts"]),
            "windows": windows,
            "top_logits": tuple(TokenEffect(**item) for item in row["top_logits"]),
            "bottom_logits": tuple(TokenEffect(**item) for item in row["bottom_logits"]),
            "token_uses": tuple(TokenUse(**item) for item in row["token_uses"]),
            "neuron": None if row["neuron"] is None else NeuronMatch(**row["neuron"]),
            "context": None if row["context"] is None else ContextPredictability(**row["context"]),
            "pinned": None if row["pinned"] is None else _pinned(row["pinned"]),
            "counts": None if row["counts"] is None else _counts(row["counts"]),
            "neighbours": tuple(Neighbour(**item) for item in row["neighbours"]),
        }
    )


def _counts(row: dict[str, Any]) -> FiringCounts:
    return FiringCounts(**{**row, "explain_bins": tuple(row["explain_bins"]), "score_bins": tuple(row["score_bins"])})


def _pinned(row: dict[str, Any]) -> PinnedEffect:
    effects = {name: tuple(TokenEffect(**item) for item in row[name]) for name in ("raised", "lowered")}
    return PinnedEffect(**{**row, **effects})
