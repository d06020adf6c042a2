"""A subject whose activations are planted by rule, and a small packed corpus: no model, every value known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from autointerp.config.sites import SitePoint
from autointerp.errors import SubjectError
from autointerp.harvest.evidence import LoadedDictionary
from autointerp.harvest.firing import FiringRules
from autointerp.records.document import Role
from autointerp.subject.packing import PackedBatch
from autointerp.subject.tokens import TokenText
from sae_core.dictionary import Dictionary

POINT = SitePoint("resid_post", 0)
NEURONS = SitePoint("mlp_post", 0)
VOCAB, BOS, CONTEXT = 40, 39, 65
N_FEATURES = 8
ALWAYS, CONTEXTUAL, NEVER, DENSE, RARE, WIDE, EDGE, PAIR = range(N_FEATURES)
"""ALWAYS fires on token 1; CONTEXTUAL on token 2 after token 3 only; RARE on 7 after 8; WIDE on 4 over five decades;
EDGE on the first token of a document; PAIR on tokens 5 and 6, and neuron 2 does too."""


class PlantedSubject:
    """Activations by rule at two points; the special token's are huge, as a BOS token's are in real models."""

    vocab_size = VOCAB
    special_ids = frozenset({BOS})

    def __init__(self, *, has_neurons: bool = True) -> None:
        self.has_neurons = has_neurons
        self.n_passes = 0

    def check(self, point: SitePoint) -> None:
        if point not in (POINT, *([NEURONS] if self.has_neurons else [])):
            raise SubjectError(f"no {point}")

    def activations(self, tokens: Tensor, points: list[SitePoint]) -> dict[SitePoint, Tensor]:
        self.n_passes += 1
        before = torch.nn.functional.pad(tokens, (1, 0), value=BOS)[:, :-1]
        two_before = torch.nn.functional.pad(tokens, (2, 0), value=BOS)[:, :-2]
        vary = ((tokens * 7 + before * 13 + two_before * 29) % 97) / 97
        x = torch.zeros(*tokens.shape, N_FEATURES)
        x[..., ALWAYS] = (tokens == 1) * (0.5 + vary)
        x[..., CONTEXTUAL] = ((tokens == 2) & (before == 3)) * (1 + vary)
        x[..., DENSE] = 0.1 + vary
        x[..., RARE] = ((tokens == 7) & (before == 8)) * 1.0
        x[..., WIDE] = (tokens == 4) * torch.pow(10, 5 * vary - 3)
        x[..., EDGE] = (before == BOS) * (1 + vary)
        x[..., PAIR] = ((tokens == 5) | (tokens == 6)) * (1 + vary)
        x[tokens == BOS] = 1e4
        neurons = torch.stack([vary, -vary, x[..., PAIR] + 0.1 * vary, torch.ones_like(vary)], dim=-1)
        neurons[tokens == BOS] = -1e4
        return {point: x if point == POINT else neurons for point in points}

    def logit_effects(self, point: SitePoint, directions: Tensor) -> Tensor:
        table = torch.arange(VOCAB * N_FEATURES).float().view(N_FEATURES, VOCAB)
        return directions @ ((table * 37) % 101 - 50)


class PlantedDictionary(Dictionary):
    """Feature i is coordinate i, cut at zero."""

    def __init__(self) -> None:
        super().__init__()
        self.d_in = self.n_features = N_FEATURES

    @property
    def directions(self) -> Tensor:
        return torch.eye(N_FEATURES)

    @property
    def offset(self) -> Tensor:
        return torch.zeros(N_FEATURES)

    def encode_dense(self, x: Tensor) -> Tensor:
        return x.clamp(min=0)


@dataclass(eq=False)
class PlantedCorpus:
    """Documents of random tokens packed as `[BOS] text [BOS] text`; `repeats` documents hold one repeated passage."""

    n_documents: int = 240
    seed: int = 0
    repeats: int = 0
    batch_rows: int = 7
    texts: dict[str, np.ndarray] = field(default_factory=dict)
    roles: dict[str, Role] = field(default_factory=dict)

    def __post_init__(self) -> None:
        draw = np.random.default_rng(self.seed)
        passage = draw.integers(0, BOS, 150)
        for number in range(self.n_documents):
            length = int(draw.integers(3, 250))
            name = f"doc{number}"
            self.texts[name] = passage.copy() if number < self.repeats else draw.integers(0, BOS, length)
            self.roles[name] = "explain" if number % 2 else "score"

    def open(self) -> Iterator[PackedBatch]:
        return iter(self._batches)

    @cached_property
    def _batches(self) -> list[PackedBatch]:
        return [batch for role in ("explain", "score") for batch in self._packed(role)]

    def _packed(self, role: Role) -> Iterator[PackedBatch]:
        rows = self._rows(role)
        for start in range(0, len(rows), self.batch_rows):
            part = rows[start : start + self.batch_rows]
            names = sorted({name for row in part for _, name, _ in row if name is not None})
            index = {name: place for place, name in enumerate(names)} | {None: -1}
            yield PackedBatch(
                torch.tensor([[token for token, _, _ in row] for row in part]),
                torch.tensor([[index[name] for _, name, _ in row] for row in part]),
                torch.tensor([[offset for _, _, offset in row] for row in part]),
                tuple(names),
                role,
                last_offsets=tuple(len(self.texts[name]) - 1 for name in names),
            )

    def _rows(self, role: Role) -> list[list[tuple[int, str | None, int]]]:
        rows: list[list[tuple[int, str | None, int]]] = [[(BOS, None, -1)]]
        for name, tokens in self.texts.items():
            if self.roles[name] != role:
                continue
            for offset, token in enumerate(tokens.tolist()):
                if len(rows[-1]) == CONTEXT:
                    rows.append([(BOS, None, -1)])
                elif offset == 0 and len(rows[-1]) > 1:
                    rows[-1].append((BOS, None, -1))
                    if len(rows[-1]) == CONTEXT:
                        rows.append([(BOS, None, -1)])
                rows[-1].append((token, name, offset))
        rows[-1] += [(BOS, None, -1)] * (CONTEXT - len(rows[-1]))
        return rows

    def truth(self) -> dict[tuple[str, int], tuple[int, np.ndarray]]:
        """(document, offset) -> (token, activations [n_features]) of every text token."""
        return self._truth

    @cached_property
    def _truth(self) -> dict[tuple[str, int], tuple[int, np.ndarray]]:
        subject, found = PlantedSubject(), {}
        for batch in self.open():
            x = subject.activations(batch.tokens, [POINT])[POINT].numpy()
            for row, column in batch.is_text.nonzero().tolist():
                key = batch.documents[batch.document[row, column]], int(batch.offset[row, column])
                found[key] = int(batch.tokens[row, column]), x[row, column]
        return found


def planted_text() -> TokenText:
    """Token texts with an emoji cut into two tokens (10 and 11) and letters elsewhere."""
    pieces = [f" {chr(97 + i % 26)}{i}".encode() for i in range(VOCAB)]
    pieces[10], pieces[11] = "\N{PEACH}".encode()[:2], "\N{PEACH}".encode()[2:]
    return TokenText(tuple(pieces), adds_space=True)


def loaded(rules: FiringRules | None = None) -> LoadedDictionary:
    return LoadedDictionary(PlantedDictionary(), POINT, rules or FiringRules.above_zero(N_FEATURES))
