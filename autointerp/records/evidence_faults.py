"""Faults in evidence tables that no harvest writes, column by column."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute

from autointerp.records.window import ACTIVATING

__all__ = ["find_fault"]

_MAY_BE_NULL = frozenset(
    {"neuron", "context", "pinned", "counts", "unscored", "bin", "target_density", "n_seen", "ends_document"}
)
_ROLES = ("explain", "score")
_KINDS = ("top", "bin", "drawn", "random", "same_document", "near_miss", "neighbour")
_RULES = ("above_zero", "quantile")
_UNSCORED = ("too_few_positives", "too_few_negatives")
_SLACK = 1e-3
"""Tolerance for rounded cosines and correlations."""

Column = Any
"""A pyarrow array, untyped because its stubs are incomplete."""
pc: Any = pyarrow.compute  # whose functions are made when it is loaded


def find_fault(table: pa.Table, *, dictionary: str | None = None) -> str | None:
    """First fault in words, with its feature or window; `dictionary` is the only one allowed."""
    columns = {name: table.column(name).combine_chunks() for name in table.schema.names}
    return next(_faults(columns, dictionary), None)


def _faults(columns: dict[str, Column], dictionary: str | None) -> Iterator[str]:
    yield from _form_faults(columns)
    features = _numbers(columns["feature"])
    named = columns["dictionary"].unique().to_pylist()
    if dictionary is not None and named not in ([], [dictionary]):
        yield f"it is about dictionary '{named[0]}', not '{dictionary}'"
    if len(named) > 1:
        yield f"it is about several dictionaries: {', '.join(map(repr, named[:3]))}"
    if len(np.unique(features)) < len(features):
        yield f"feature {_first_twice(features)} has two rows"

    def of_feature(place: int) -> str:
        return f"feature {features[place]}"

    yield from _feature_faults(columns, of_feature)
    parents = _numbers(pc.list_parent_indices(columns["windows"]))
    windows = columns["windows"].flatten()
    ids = windows.field("id")

    def of_window(place: int) -> str:
        return f"window '{ids[place].as_py()}' of feature {features[parents[place]]}"

    yield from _window_faults(windows, parents, of_window)


def _form_faults(columns: dict[str, Column]) -> Iterator[str]:
    """Missing or non-finite values at any depth."""
    parts = list(columns.items())
    while parts:
        name, column = parts.pop()
        if name not in _MAY_BE_NULL and column.null_count:
            yield f"'{name}' is empty somewhere"
        kind = column.type
        if pa.types.is_list(kind):
            parts.append((name, column.flatten()))
        elif pa.types.is_struct(kind):
            whole = column.drop_null()
            parts += [(field.name, whole.field(field.name)) for field in kind]
        elif pa.types.is_floating(kind) and not np.isfinite(_numbers(column.drop_null())).all():
            yield f"'{name}' holds a number that is not finite"


def _feature_faults(columns: dict[str, Column], whose: Callable[[int], str]) -> Iterator[str]:
    feature, n_tokens, n_firing, density = (
        _numbers(columns[name]) for name in ("feature", "n_tokens", "n_firing", "density")
    )
    yield from _where(feature < 0, whose, "has a number below 0")
    yield from _where((n_firing < 0) | (n_firing > n_tokens), whose, "fires on more tokens than there are")
    yield from _where((density < 0) | (density > 1), whose, "has a density that is no share")
    edges, counts = columns["histogram_edges"], columns["histogram_counts"]
    n_edges, n_counts = (_numbers(column.value_lengths()) for column in (edges, counts))
    has_bins = (n_edges > 0) | (n_counts > 0)
    yield from _where(has_bins & (n_edges != n_counts + 1), whose, "has a histogram whose edges and counts do not fit")
    yield from _where(_falls(edges, is_strict=True), whose, "has a histogram whose edges do not rise")
    rule = columns["rule"]
    yield from _unknown(rule.field("kind"), _RULES, "firing rule", whose)
    yield from _where(np.abs(_numbers(rule.field("sign"))) != 1, whose, "has a firing rule whose sign is not 1 or -1")
    yield from _unknown(columns["unscored"], (*_UNSCORED, None), "unscored", whose)
    for name, part, least, most in (
        ("histogram_counts", None, 0, None),
        ("top_logits", "token_id", 0, None),
        ("bottom_logits", "token_id", 0, None),
        ("token_uses", "token_id", 0, None),
        ("token_uses", "n_firing", 0, None),
        ("neuron", "index", 0, None),
        ("neuron", "correlation", -1 - _SLACK, 1 + _SLACK),
        ("context", "auroc", 0, 1),
        ("context", "shuffled_auroc", 0, 1),
        ("counts", "n_firing", 0, None),
        ("neighbours", "feature", 0, None),
        ("neighbours", "cosine", -1 - _SLACK, 1 + _SLACK),
        ("neighbours", "co_firing", 0, 1),
    ):
        yield from _outside(columns[name], part, least, most, name)
    for name, of in (("token_uses", "n_tokens"), ("counts", "n_windows")):
        inner = _whole(columns[name])
        if (_numbers(inner.field("n_firing")) > _numbers(inner.field(of))).any():
            yield f"'{name}' has an n_firing above its {of}"


def _window_faults(windows: Column, parents: np.ndarray, whose: Callable[[int], str]) -> Iterator[str]:
    tokens, starts, activations = (windows.field(name) for name in ("token_ids", "token_starts", "activations"))
    n_tokens = _numbers(tokens.value_lengths())
    candidate, offset = (_numbers(windows.field(name)) for name in ("candidate", "offset"))
    yield from _where(n_tokens == 0, whose, "has no tokens")
    yield from _where(_numbers(starts.value_lengths()) != n_tokens + 1, whose, "has token_starts for other tokens")
    yield from _where(_numbers(activations.value_lengths()) != n_tokens, whose, "has activations for other tokens")
    yield from _where((candidate < 0) | (candidate >= n_tokens), whose, "has a candidate beyond its tokens")
    yield from _where(offset < 0, whose, "begins before its document")
    yield from _where(_falls(starts), whose, "has token_starts that go back")
    edges = _numbers(starts.offsets)
    places = _numbers(starts.flatten()) if len(starts) else np.zeros(0, dtype=int)
    first, last = (places[edge - edges[0]] for edge in (edges[:-1], edges[1:] - 1))
    n_bytes = _numbers(pc.binary_length(windows.field("text")))
    yield from _where((first < 0) | (last > n_bytes), whose, "has token_starts beyond its text")
    yield from _unknown(windows.field("role"), _ROLES, "role", whose)
    yield from _unknown(windows.field("kind"), _KINDS, "kind", whose)
    is_firing = _numbers(pc.is_in(windows.field("kind"), value_set=pa.array(sorted(ACTIVATING))))
    values = _numbers(activations.flatten())
    begins = np.concatenate([[0], np.cumsum(n_tokens)[:-1]]).astype(int)
    # one maximum per window: each stretch ends where the next begins
    strongest = np.maximum.reduceat(np.abs(values), begins) if len(values) else values
    yield from _where(is_firing & (strongest == 0), whose, "is of a kind that fires, and silent")
    yield from _where(~is_firing & (strongest > 0), whose, "is of a silent kind, and fires")
    yield from _shared(windows, parents, whose)


def _shared(windows: Column, parents: np.ndarray, whose: Callable[[int], str]) -> Iterator[str]:
    """Windows repeated within a feature, and documents in both roles."""
    ids, documents, roles = (
        _numbers(windows.field(name).dictionary_encode().indices) for name in ("id", "document", "role")
    )
    pairs = np.stack([parents, ids], axis=1)
    _, counts = np.unique(pairs, axis=0, return_counts=True)
    if (counts > 1).any():
        order = np.lexsort((ids, parents))
        same = (np.diff(parents[order]) == 0) & (np.diff(ids[order]) == 0)
        yield f"{whose(int(order[1:][same][0]))} is there twice"
    uses = np.unique(np.stack([parents, documents, roles], axis=1), axis=0)
    shared = (np.diff(uses[:, 0]) == 0) & (np.diff(uses[:, 1]) == 0)
    if shared.any():
        parent, document, _ = uses[1:][shared][0]
        place = int(np.flatnonzero((parents == parent) & (documents == document))[0])
        yield f"{whose(place)} is of a document that serves both roles"


def _where(mask: np.ndarray, whose: Callable[[int], str], what: str) -> Iterator[str]:
    if mask.any():
        yield f"{whose(int(np.flatnonzero(mask)[0]))} {what}"


def _unknown(column: Column, known: Sequence[str | None], name: str, whose: Callable[[int], str]) -> Iterator[str]:
    for place, value in enumerate(column.to_pylist()) if set(column.unique().to_pylist()) - set(known) else ():
        if value not in known:
            yield f"{whose(place)} has the {name} '{value}'"


def _outside(column: Column, part: str | None, least: float, most: float | None, name: str) -> Iterator[str]:
    inner = _whole(column)
    values = _numbers(inner if part is None else inner.field(part))
    if (values < least).any() or (most is not None and (values > most).any()):
        yield f"'{name if part is None else f'{name}.{part}'}' holds a number out of range"


def _whole(column: Column) -> Column:
    """Records in a column of records or lists, without missing ones."""
    return (column.flatten() if pa.types.is_list(column.type) else column).drop_null()


def _falls(column: Column, *, is_strict: bool = False) -> np.ndarray:
    """Per list, whether it falls anywhere (`is_strict`: fails to rise everywhere)."""
    values = _numbers(column.flatten())
    owners = _numbers(pc.list_parent_indices(column))
    steps = np.diff(values)
    is_bad = ((steps <= 0) if is_strict else (steps < 0)) & (np.diff(owners) == 0)
    falls = np.zeros(len(column), dtype=bool)
    falls[owners[1:][is_bad]] = True
    return falls


def _first_twice(values: np.ndarray) -> int:
    ordered = np.sort(values)
    return int(ordered[1:][np.diff(ordered) == 0][0])


def _numbers(column: Column) -> np.ndarray:
    return np.asarray(column.to_numpy(zero_copy_only=False))
