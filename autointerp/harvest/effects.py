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

LOGITS_AT_ONCE = 1 << 24


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
    ordered = logits.sort(dim=1, descending=True, stable=True)
    low = logits.sort(dim=1, stable=True)
    return [
        (_records(values, shown[places], text), _records(low_values, shown[low_places], text))
        for values, places, low_values, low_places in zip(
            ordered.values[:, :n], ordered.indices[:, :n], low.values[:, :n], low.indices[:, :n], strict=True
        )
    ]


def _records(logits: Tensor, tokens: Tensor, text: TokenText) -> tuple[TokenEffect, ...]:
    pairs = zip(tokens.tolist(), logits.tolist(), strict=True)
    return tuple(TokenEffect(token, text.display(token), logit) for token, logit in pairs)
