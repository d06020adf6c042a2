"""Windows from candidates: for each feature no two share a token of a document or have the same text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import accumulate

import numpy as np

from autointerp.config.tree import HarvestConfig
from autointerp.harvest.hashing import mix
from autointerp.harvest.pools import Columns
from autointerp.harvest.statistics import ROLES
from autointerp.harvest.windows import EDGE_TOKENS, Slots, WindowCollector
from autointerp.records.document import Role
from autointerp.records.window import Kind, Window
from autointerp.subject.tokens import TokenText, span_text

__all__ = ["RUN_TOKENS", "select_windows"]

# windows of two roles that share a run of so many tokens are of one passage, which repeats in the corpus: what was
# shown to explain would be scored
RUN_TOKENS = 10


def select_windows(collector: WindowCollector, config: HarvestConfig, *, text: TokenText) -> list[tuple[Window, ...]]:
    """The windows of each feature of the sample: role by role, each kind in its own order (top: strongest first).

    `collector.n_repeated` counts the candidates that repeat a passage of the other role.
    """
    columns = collector.pools.columns()
    n = len(collector.plan.features)
    if not columns:
        return [() for _ in range(n)]
    slots = collector.slots
    edges = np.searchsorted(columns["slot"], np.arange(n * len(ROLES) * slots.per_role + 1))
    tokens = list(range(len(text.pieces)))  # one object per token id, shared by all windows
    chosen: list[tuple[Window, ...]] = []
    per_feature = len(ROLES) * slots.per_role
    for feature in range(n):
        own = range(edges[feature * per_feature], edges[(feature + 1) * per_feature])
        selection = _Selection(columns, own, text, tokens)
        for index, role in enumerate(ROLES):
            for kind, bin_, place, wanted in _servings(slots, config):
                slot = int(slots.number(np.array([feature]), index, place)[0])
                selection.take(range(edges[slot], edges[slot + 1]), wanted, role, kind, bin_)
        collector.n_repeated += selection.n_repeated
        chosen.append(selection.windows(collector, feature))
    return chosen


def _servings(slots: Slots, config: HarvestConfig) -> Iterator[tuple[Kind, int | None, int, int]]:
    """(kind, bin, pool, windows wanted) in the order in which kinds choose."""
    yield "top", None, 0, config.n_top
    for bin_ in range(slots.n_bins):
        yield "bin", bin_, 1 + bin_, config.n_per_bin
    yield "drawn", None, slots.drawn, config.n_drawn or 0
    yield "near_miss", None, slots.near_miss, config.n_near_miss
    yield "neighbour", None, slots.neighbour, config.n_neighbour or 0
    yield "random", None, slots.random, config.n_random
    yield "same_document", None, slots.same_document, config.n_same_document


class _Selection:
    """The windows of one feature while they are chosen."""

    def __init__(self, columns: Columns, own: range, text: TokenText, tokens: list[int]) -> None:
        self.columns = columns
        self._first = own.start
        self._codes = _run_codes(columns["token"][own.start : own.stop, EDGE_TOKENS:])
        self.tokens = tokens
        self.text = text
        self._spans: dict[str, list[tuple[int, int]]] = {}
        self._texts: set[str] = set()
        self._runs: dict[Role, set[int]] = {role: set() for role in ROLES}
        self.n_repeated = 0
        self._windows: list[Window] = []

    def take(self, candidates: range, n: int, role: Role, kind: Kind, bin_: int | None) -> None:
        """The first `n` candidates that neither overlap nor repeat what was taken before."""
        n_taken = 0
        for index in candidates:
            if n_taken == n:
                return
            document, offset = str(self.columns["document"][index]), int(self.columns["offset"][index])
            length = int(self.columns["length"][index])
            spans = self._spans.setdefault(document, [])
            if any(offset < past and first < offset + length for first, past in spans):
                continue
            runs = self._codes[index - self._first, : max(0, length - RUN_TOKENS + 1)].tolist()
            if not all(known.isdisjoint(runs) for other, known in self._runs.items() if other != role):
                self.n_repeated += 1
                continue
            window = self._window(index, document, offset, length, role, kind, bin_)
            if window.text in self._texts:
                continue
            self._runs[role].update(runs)
            spans.append((offset, offset + length))
            self._texts.add(window.text)
            self._windows.append(window)
            n_taken += 1

    def windows(self, collector: WindowCollector, feature: int) -> tuple[Window, ...]:
        """What was taken, with the bins of top and drawn windows filled in."""
        places = [place for place, window in enumerate(self._windows) if window.kind in ("top", "drawn")]
        values = np.array([self._windows[place].max_activation for place in places], dtype=np.float32)
        bins = collector.plan.bins(np.full(len(places), feature), values, n_bins=collector.slots.n_bins)
        for place, bin_ in zip(places, bins.tolist(), strict=True):
            self._windows[place] = replace(self._windows[place], bin=bin_)
        return tuple(self._windows)

    def _window(
        self, index: int, document: str, offset: int, length: int, role: Role, kind: Kind, bin_: int | None
    ) -> Window:
        row = self.columns["token"][index].tolist()
        ids = row[EDGE_TOKENS : EDGE_TOKENS + length]
        if "text" in self.columns:
            text = str(self.columns["text"][index])
            starts = tuple(self.columns["starts"][index, : length + 1].tolist())
        else:
            text, starts = _text(
                self.text,
                ids,
                offset=offset,
                before=[token for token in row[:EDGE_TOKENS] if token >= 0],
                after=[token for token in row[EDGE_TOKENS + length :][:EDGE_TOKENS] if token >= 0],
            )
        return Window(
            id=f"{document}@{offset}+{length}",
            document=document,
            offset=offset,
            role=role,
            kind=kind,
            bin=bin_,
            text=text,
            token_ids=tuple([self.tokens[token] for token in ids]),
            token_starts=starts,
            # `or` gives the one constant 0.0: a million zeros as objects of their own would fill memory
            activations=tuple([value or 0.0 for value in self.columns["activation"][index, :length].tolist()]),
            candidate=int(self.columns["candidate"][index]),
            ends_document=(False, True, None)[int(self.columns["is_last"][index])],
        )


def _run_codes(tokens: np.ndarray) -> np.ndarray:
    """[n, positions] a hash of the RUN_TOKENS tokens from each position on. tokens: [n, length]."""
    mixed = mix(tokens.astype(np.uint64))
    n_runs = max(0, tokens.shape[1] - RUN_TOKENS + 1)
    codes = np.zeros((len(tokens), n_runs), dtype=np.uint64)
    for place in range(RUN_TOKENS):
        codes = mix(codes ^ mixed[:, place : place + n_runs])
    return codes


def _text(
    text: TokenText, ids: list[int], *, offset: int, before: list[int], after: list[int]
) -> tuple[str, tuple[int, ...]]:
    pieces = text.document_pieces(ids, offset=offset)
    raw = b"".join(pieces)
    try:
        # whole characters at both ends, as nearly always
        return raw.decode(), tuple(accumulate((len(piece) for piece in pieces), initial=0))
    except UnicodeDecodeError:
        left = b"".join(text.document_pieces(before, offset=offset - len(before)))
        right = b"".join(text.pieces[token] for token in after)
        return span_text(pieces, before=left, after=right)
