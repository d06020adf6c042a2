"""The vocabulary entries that a feature's direction promotes and suppresses most, special tokens left out."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from autointerp.config.sites import SITES, SitePoint
from autointerp.records.evidence import TokenEffect
from autointerp.subject.tokens import TokenText

__all__ = ["Effects", "find_effects", "strongest_effects", "text_tokens"]

Effects = tuple[tuple[TokenEffect, ...], tuple[TokenEffect, ...]]

# logit effects held at once
LOGITS_AT_ONCE = 1 << 22


@runtime_checkable
class HasLogitEffects(Protocol):
    """A subject that knows the way from a site to the logits."""

    @property
    def vocab_size(self) -> int: ...
    @property
    def special_ids(self) -> frozenset[int]: ...
    def logit_effects(self, point: SitePoint, directions: Tensor) -> Tensor: ...


def find_effects(
    subject: HasLogitEffects, point: SitePoint, directions: Float[Tensor, "n d_in"], *, n_logits: int, text: TokenText
) -> list[Effects]:
    """(top, bottom) of each direction, strongest first, equal ones by token id."""
    # the site reaches the logits only through an MLP
    if SITES[point.site].way is None:
        return [((), ()) for _ in directions]
    shown = text_tokens(subject, text)
    effects: list[Effects] = []
    for part in directions.split(max(1, LOGITS_AT_ONCE // subject.vocab_size)):
        effects += strongest_effects(subject.logit_effects(point, part), shown, n_logits=n_logits, text=text)
    return effects


def text_tokens(subject: HasLogitEffects, text: TokenText) -> Int[Tensor, " shown"]:
    """The vocabulary entries that a text may hold."""
    return torch.tensor([t for t in range(subject.vocab_size) if t not in subject.special_ids and text.pieces[t]])


def strongest_effects(
    logits: Float[Tensor, "n vocab"], shown: Int[Tensor, " shown"], *, n_logits: int, text: TokenText
) -> list[Effects]:
    """(top, bottom) of each row among the entries `shown`, strongest first, equal ones by token id."""
    n = min(n_logits, len(shown))
    logits = logits.float().cpu()[:, shown]
    sides = [(places, logits.gather(1, places)) for places in (_largest(logits, n), _largest(-logits, n))]
    return [
        (_records(high, shown[top], text), _records(low, shown[bottom], text))
        for top, high, bottom, low in zip(*sides[0], *sides[1], strict=True)
    ]


def _largest(values: Float[Tensor, "n shown"], n: int) -> Int[Tensor, "n chosen"]:
    """The places of the `n` largest values of each row, in order; of equal ones the first."""
    if not n:
        return torch.zeros(len(values), 0, dtype=torch.int64)
    found = values.topk(n, dim=1)
    # `topk` takes any of those that equal the last one
    is_tied = (values >= found.values[:, -1:]).sum(dim=1) > n
    places = found.indices.sort(dim=1).values
    places[is_tied] = values[is_tied].sort(dim=1, descending=True, stable=True).indices[:, :n]
    order = values.gather(1, places).sort(dim=1, descending=True, stable=True).indices
    return places.gather(1, order)


def _records(logits: Tensor, tokens: Tensor, text: TokenText) -> tuple[TokenEffect, ...]:
    pairs = zip(tokens.tolist(), logits.tolist(), strict=True)
    return tuple(TokenEffect(token, text.display(token), logit) for token, logit in pairs)
