"""A run's text of one role with the codes of its dictionaries, token by token, held in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor

from autointerp.config.sites import SitePoint
from autointerp.errors import ConfigError
from autointerp.harvest.firing import find_firings
from autointerp.harvest.passes import LoadedDictionary, limits_of, neuron_point
from autointerp.records.document import Role
from autointerp.run import Run
from autointerp.stages.run_dictionaries import open_dictionaries
from autointerp.stages.workbench import Workbench, open_workbench
from autointerp.subject.activations import iter_activations
from autointerp.subject.packing import PackedBatch
from autointerp.subject.sinks import leave_out
from autointerp.subject.tokens import TokenText

__all__ = ["OpenRun", "Reading", "firing_features", "open_trained"]

MIN_FIRING = 20


@dataclass(frozen=True, eq=False)
class Reading:
    """Text tokens in reading order, [n] each, and what fires on them.

    `start` and `end` are in the bytes of the document's text. `has_next`: the next token of the document is the next of
    these. `codes` [n, n_features] by dictionary, firings only; `neurons` [n, d_mlp] of the subject's layer, None where
    it has no MLP.
    """

    token: NDArray[np.int64]
    document: NDArray[np.int64]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    has_next: NDArray[np.bool_]
    documents: tuple[str, ...]
    texts: tuple[bytes, ...]
    codes: Mapping[str, sparse.csc_array]
    neurons: NDArray[np.float32] | None

    @property
    def n_tokens(self) -> int:
        return len(self.token)


def firing_features(codes: sparse.csc_array, least: int = MIN_FIRING) -> NDArray[np.int64]:
    """The features that fire on `least` tokens or more; about others too little is known."""
    return np.flatnonzero(np.diff(codes.indptr) >= least)


@dataclass(frozen=True, eq=False)
class OpenRun:
    """A trained run with its subject, to be read and intervened on."""

    bench: Workbench
    dictionaries: Mapping[str, LoadedDictionary]
    text: TokenText
    _read: dict[Role, Reading] = field(default_factory=dict)

    def read(self, role: Role) -> Reading:
        """Half of `corpus.evidence_tokens`, read once."""
        if role not in self._read:
            self._read[role] = _read(self, role)
        return self._read[role]


def open_trained(run: Run) -> OpenRun:
    """Raises ConfigError for `subject.skip_first`, which leaves holes in documents."""
    if run.config.subject.skip_first:
        raise ConfigError("subject.skip_first: the study reads whole documents; leave it 0")
    return _open(run.path.resolve())


@lru_cache(maxsize=4)  # parts of a study read the same
def _open(path: Path) -> OpenRun:
    run = Run(path)
    bench = open_workbench(run.config)
    text = TokenText.of(bench.subject.tokenizer, vocab_size=bench.subject.vocab_size)
    return OpenRun(bench, open_dictionaries(bench, run.layout), text)


def _read(run: OpenRun, role: Role) -> Reading:
    bench, limits = run.bench, limits_of(run.dictionaries)
    own = SitePoint("mlp_post", bench.config.subject.layer)
    neurons = neuron_point(bench.subject, own)
    points = {each.point for each in run.dictionaries.values()} | ({neurons} if neurons is not None else set())
    places = _Places()
    codes: dict[str, list[sparse.csr_array]] = {name: [] for name in run.dictionaries}
    dense: list[NDArray[np.float32]] = []
    for batch, found in iter_activations(bench.subject, bench.evidence_batches(role), sorted(points, key=str)):
        kept = leave_out(batch, found, limits).is_text
        places.add(batch, kept[batch.is_text].cpu().numpy())
        rows = {point: x[kept.to(x.device)] for point, x in found.items()}
        for name, each in run.dictionaries.items():
            codes[name].append(_sparse(each, rows[each.point]))
        if neurons is not None:
            dense.append(rows[neurons].float().cpu().numpy())
    order, placed = places.result(run.text)
    stacked: dict[str, Any] = {name: sparse.vstack(codes.pop(name), format="csr") for name in run.dictionaries}
    return Reading(
        **placed,
        codes={name: sparse.csc_array(rows[order]) for name, rows in stacked.items()},
        neurons=np.concatenate(dense)[order] if dense else None,
    )


def _sparse(loaded: LoadedDictionary, x: Tensor) -> sparse.csr_array:
    firings = find_firings(loaded.dictionary, loaded.rules, x)
    shape = (x.shape[0], loaded.dictionary.n_features)
    return sparse.csr_array((firings.value, (firings.row, firings.feature)), shape=shape)


class _Places:
    """Where the tokens of batches stand in their documents."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._texts: dict[int, bytes] = {}
        # per batch [7, n]: document, offset, token, whether it is kept, and where it begins and ends if that is known
        self._parts: list[NDArray[np.int64]] = []

    def add(self, batch: PackedBatch, is_kept: NDArray[np.bool_]) -> None:
        is_text = batch.is_text.cpu()
        numbers = [self._numbers.setdefault(name, len(self._numbers)) for name in batch.documents]
        self._texts |= dict(zip(numbers, batch.texts, strict=False))
        columns = [np.array(numbers, dtype=np.int64)[batch.document.cpu()[is_text].numpy()]]
        columns += [each.cpu()[is_text].numpy() for each in (batch.offset, batch.tokens)]
        spans = np.full((2, len(is_kept)), -1) if batch.spans is None else batch.spans.cpu()[:, is_text].numpy()
        self._parts.append(np.stack([*columns, is_kept.astype(np.int64), *spans]))

    def result(self, text: TokenText) -> tuple[NDArray[np.int64], dict[str, Any]]:
        """(order of the kept tokens by document and offset, the fields of a Reading)"""
        document, offset, token, is_kept, start, end = np.concatenate(self._parts, axis=1)
        order = np.lexsort((offset, document))
        document, offset, token, start, end = (each[order] for each in (document, offset, token, start, end))
        texts = []
        for number in range(len(self._numbers)):
            inside = slice(*np.searchsorted(document, [number, number + 1]))
            if number in self._texts:
                texts.append(self._texts[number])
                continue
            pieces = text.document_pieces(token[inside].tolist())
            end[inside] = np.cumsum([len(piece) for piece in pieces])
            start[inside] = end[inside] - [len(piece) for piece in pieces]
            texts.append(b"".join(pieces))
        kept = is_kept[order].astype(bool)
        document, offset = document[kept], offset[kept]
        has_next = np.zeros(len(document), dtype=bool)
        has_next[:-1] = (np.diff(document) == 0) & (np.diff(offset) == 1)
        # rows of codes are those of kept tokens only
        rows = (np.cumsum(is_kept) - 1)[order][kept]
        placed = {
            "token": token[kept],
            "document": document,
            "start": start[kept],
            "end": end[kept],
            "has_next": has_next,
            "documents": tuple(self._numbers),
            "texts": tuple(texts),
        }
        return rows, placed
