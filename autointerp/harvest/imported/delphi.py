"""delphi's cached latents: `MODULE/START_END.safetensors` with `locations`, `activations`, `tokens`, and `config.json`.

A row of `tokens` is one context, a row of `locations` where a latent is above 0: context, position, latent counted from
START. All activations above 0 are kept, so what is not listed is silent.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from autointerp.config.tree import HarvestConfig
from autointerp.errors import InputError
from autointerp.harvest.evidence import Need
from autointerp.harvest.firing import Firings
from autointerp.harvest.imported.kept import SHARES, Imported, collect_kept
from autointerp.harvest.statistics import drawing_order
from autointerp.records.document import Role, role_of
from autointerp.small_files import read_json
from autointerp.subject.packing import PackedBatch
from autointerp.subject.tokens import TokenText, special_ids, style_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = ["DelphiCache", "find_caches"]

FILE = re.compile(r"(\d+)_(\d+)\.safetensors")
ROWS_PER_BATCH = 256

LACKS = (
    "no logit effects, neuron matches and neighbours: the cache has no weights",
    "contexts count as documents: a text cut into several stands in several, which may have different roles",
)


def find_caches(source: Path) -> list[DelphiCache]:
    """The caches at or below `source`: one module's folder, a run's `latents` folder, or the run's own."""
    folders = {file.parent for file in sorted(source.rglob("*.safetensors")) if FILE.fullmatch(file.name)}
    return [DelphiCache(folder) for folder in sorted(folders)]


@dataclass(frozen=True)
class DelphiCache:
    """The cache of one module, read split by split."""

    folder: Path

    @cached_property
    def config(self) -> dict[str, Any]:
        """What delphi wrote of how it was made; nothing where it wrote none. Raises UnreadableFile."""
        path = self.folder / "config.json"
        found = read_json(path) if path.exists() else {}
        return found if isinstance(found, dict) else {}

    @property
    def model(self) -> str | None:
        """The model's name."""
        return _text(self.config.get("model_name"))

    @property
    def corpus(self) -> str | None:
        """The data set's name."""
        return _text(self.config.get("dataset_repo"))

    def read(
        self,
        name: str,
        config: HarvestConfig,
        *,
        tokenizer: PreTrainedTokenizerBase,
        max_tokens: int | None,
        seed: int,
        needs: Mapping[Role, Need],
    ) -> Imported:
        """The evidence about a sample of its live latents, over at most `max_tokens` tokens.

        Raises InputError for a file that is damaged, of another form, or tokenised by another tokenizer.
        """
        text = self._token_text(tokenizer)
        tokens = self._tokens
        if max_tokens is not None:
            tokens = tokens[: max(1, -(-max_tokens // tokens.shape[1]))]
        is_text = ~np.isin(tokens, list(special_ids(tokenizer)))
        counts = self._count(tokens.shape[0], is_text)
        order = drawing_order(seed, name, len(counts))
        live = order[counts[order] >= config.min_firing]
        chosen = np.sort(live if config.n_features == "all" else live[: config.n_features])
        found = self._firings(chosen, tokens.shape[0], is_text)
        blocks = _blocks(tokens.shape[0])
        own = _shared_out(found, blocks, is_text.shape)

        def batches() -> Iterator[tuple[PackedBatch, Firings]]:
            for (role, rows), firings in zip(blocks, own, strict=True):
                yield _batch(tokens, is_text, rows, role, firings)

        evidence = collect_kept(
            name, chosen.tolist(), batches, config, site=self.folder.name, text=text, seed=seed, needs=needs
        )
        return Imported(name, tuple(evidence), self.model, self.corpus, int(is_text.sum()), LACKS)

    @cached_property
    def _splits(self) -> list[tuple[int, int, Path]]:
        """(first latent, last latent, file) in order."""
        named = [(FILE.fullmatch(path.name), path) for path in self.folder.glob("*.safetensors")]
        found = sorted((int(name[1]), int(name[2]), path) for name, path in named if name)
        for (_, before, _), (after, _, path) in pairwise(found):
            if after <= before:
                raise InputError(f"{path}: its latents overlap those of another split; keep the files of one cache")
        return found

    @cached_property
    def _tokens(self) -> np.ndarray:
        """[contexts, positions] token ids, which all splits that hold them agree on."""
        found: np.ndarray | None = None
        for _, _, path in self._splits:
            own = _read(path, "tokens")
            if own is None:
                continue
            if own.ndim != 2 or own.dtype.kind not in "iu" or not own.size or int(own.min()) < 0:
                raise InputError(f"{path}: tokens must be a matrix of ids, one context a row; cache again")
            if found is not None and not np.array_equal(found, own):
                raise InputError(f"{path}: its tokens are not those of the other splits; keep the files of one cache")
            found = own.astype(np.int64)
        if found is None:
            raise InputError(f"{self.folder} holds no tokens; cache again with save_tokens")
        return found

    def _token_text(self, tokenizer: PreTrainedTokenizerBase) -> TokenText:
        if style_of(tokenizer) == "plain":
            raise InputError(
                f"{self.folder}: token ids of this tokenizer do not tell the text between words; harvest with the "
                "model instead"
            )
        text = TokenText.of(tokenizer)
        highest = int(self._tokens.max())
        if highest >= len(text.pieces):
            raise InputError(
                f"{self.folder} holds the token id {highest}, but the tokenizer has {len(text.pieces)} entries; give "
                f"the one of {self.model or 'the model that was cached'}: --tokenizer DIRECTORY"
            )
        return text

    def _iter_splits(self, n_rows: int, is_text: np.ndarray) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """(first latent, locations [m, 3], activations [m]) of each split: firings on text in the first rows."""
        for first, last, path in self._splits:
            locations, activations = _read(path, "locations"), _read(path, "activations")
            if locations is None or activations is None:
                missing = "locations" if locations is None else "activations"
                raise InputError(f"{path} lacks '{missing}'; it is no file of delphi's latent cache, or was cut short")
            _check(path, locations, activations, n_latents=last - first + 1, shape=self._tokens.shape)
            locations = locations.astype(np.int64)
            keep = (locations[:, 0] < n_rows) & (activations > 0)
            locations, activations = locations[keep], activations[keep].astype(np.float32)
            on_text = is_text[locations[:, 0], locations[:, 1]]
            yield first, locations[on_text], activations[on_text]

    def _count(self, n_rows: int, is_text: np.ndarray) -> np.ndarray:
        """[latents] on how many tokens each fires."""
        counts = np.zeros(self._splits[-1][1] + 1, dtype=np.int64)
        for first, locations, _ in self._iter_splits(n_rows, is_text):
            own = np.bincount(locations[:, 2])
            counts[first : first + len(own)] += own
        return counts

    def _firings(self, chosen: np.ndarray, n_rows: int, is_text: np.ndarray) -> Firings:
        """All firings of the chosen latents: place in `chosen`, flat position (context x length), activation; in order
        of place and position. Raises InputError where a place is listed twice."""
        width, parts = is_text.shape[1], []
        for first, locations, activations in self._iter_splits(n_rows, is_text):
            latent = locations[:, 2] + first
            place = np.searchsorted(chosen, latent).clip(max=max(0, len(chosen) - 1))
            own = chosen[place] == latent if len(chosen) else np.zeros(len(latent), dtype=bool)
            parts.append((place[own], (locations[:, 0] * width + locations[:, 1])[own], activations[own]))
        place, position, value = (np.concatenate(column) for column in zip(*parts, strict=True))
        order = np.lexsort((position, place))
        place, position, value = place[order], position[order], value[order]
        twice = (place[1:] == place[:-1]) & (position[1:] == position[:-1])
        if twice.any():
            latent = int(chosen[place[1:][twice][0]])
            raise InputError(f"{self.folder}: latent {latent} is listed twice at one token; cache again")
        return Firings(place, position, value)


def _blocks(n_rows: int) -> list[tuple[Role, np.ndarray]]:
    """The contexts of each role, some at a time."""
    roles = [role_of(f"row{row}", SHARES) for row in range(n_rows)]
    blocks: list[tuple[Role, np.ndarray]] = []
    for role in SHARES:
        rows = np.array([row for row, own in enumerate(roles) if own == role], dtype=np.int64)
        for start in range(0, len(rows), ROWS_PER_BATCH):
            blocks.append((role, rows[start : start + ROWS_PER_BATCH]))  # noqa: PERF401
    return blocks


def _shared_out(found: Firings, blocks: list[tuple[Role, np.ndarray]], shape: tuple[int, ...]) -> list[Firings]:
    """The firings of each block of contexts, in order of latent and position."""
    block_of = np.empty(shape[0], dtype=np.int64)
    for number, (_, rows) in enumerate(blocks):
        block_of[rows] = number
    block = block_of[found.row // shape[1]]
    order = np.argsort(block, kind="stable")
    edges = np.searchsorted(block[order], np.arange(len(blocks) + 1))
    return [Firings(*(part[order[low:high]] for part in found)) for low, high in pairwise(edges.tolist())]


def _batch(
    tokens: np.ndarray, is_text: np.ndarray, rows: np.ndarray, role: Role, found: Firings
) -> tuple[PackedBatch, Firings]:
    """Some contexts as a batch, with their firings by the number of the text token."""
    width, own = tokens.shape[1], is_text[rows]
    document = np.where(own, np.arange(len(rows))[:, None], -1)
    offset = np.where(own, np.arange(width)[None, :], -1)
    batch = PackedBatch(
        torch.from_numpy(tokens[rows]),
        torch.from_numpy(document),
        torch.from_numpy(offset),
        tuple(f"row{row}" for row in rows.tolist()),
        role,
    )
    number = np.cumsum(own.reshape(-1)) - 1
    row, column = np.divmod(found.row, width)
    return batch, Firings(found.feature, number[np.searchsorted(rows, row) * width + column], found.value)


def _read(path: Path, name: str) -> np.ndarray | None:
    """One tensor of a file, None where it has none of that name. Raises InputError where the file is damaged."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            return file.get_tensor(name) if name in file.keys() else None  # noqa: SIM118
    except (OSError, SafetensorError, TypeError, ValueError) as error:
        raise InputError(f"{path} is damaged ({error}); copy or make it again") from None


def _check(
    path: Path, locations: np.ndarray, activations: np.ndarray, *, n_latents: int, shape: tuple[int, ...]
) -> None:
    if locations.ndim != 2 or locations.shape[1] != 3 or locations.dtype.kind not in "iu":
        raise InputError(f"{path}: locations must be whole numbers, 3 a row (context, position, latent)")
    if activations.shape != locations.shape[:1] or activations.dtype.kind != "f":
        raise InputError(f"{path}: activations must be one number per row of locations ({len(locations)})")
    if not np.isfinite(activations).all():
        raise InputError(f"{path}: an activation is not finite; cache again")
    for column, (what, limit) in enumerate((("context", shape[0]), ("position", shape[1]), ("latent", n_latents))):
        if len(locations) and int(locations[:, column].max()) >= limit:
            raise InputError(f"{path}: locations name {what} {int(locations[:, column].max())}, there are {limit}")


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
