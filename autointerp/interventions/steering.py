"""Steering: a prompt's continuation with one feature held at a value, beside the one without."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from autointerp.config.sites import SitePoint
from autointerp.interventions.changes import FeatureValues, pin
from autointerp.interventions.effects import divergence, next_logits, sample
from autointerp.interventions.prompts import Prompts
from autointerp.subject.model import Subject
from autointerp.subject.tokens import TokenText, span_text
from sae_core.dictionary import Dictionary

__all__ = ["PLACES", "NextToken", "Steered", "steer", "where"]

PLACES = ("all", "prompt", "last", "generated")
N_NEXT = 5


class NextToken(NamedTuple):
    """One entry of the vocabulary and its probability as the next token."""

    text: str
    plain: float
    steered: float


@dataclass(frozen=True, slots=True)
class Steered:
    """One prompt under one value of a feature, sampled with and without from the same random numbers."""

    prompt: int
    value: float
    # the feature's largest own value at the positions of the prompt that are held, None where none of it is held
    own: float | None
    # of the next token's distribution after the prompt with the feature held, from the one without, in nats
    kl: float
    plain: str
    steered: str
    # the tokens whose probability after the prompt rises and falls most
    raised: tuple[NextToken, ...]
    lowered: tuple[NextToken, ...]


def where(prompts: Prompts, at: str | Sequence[int], *, n_tokens: int) -> Bool[Tensor, "prompt pos"]:
    """Where a feature is held, over the prompt and `n_tokens` generated positions.

    `all` text positions, those of the `prompt`, its `last` one, the `generated` ones; or text positions by number, the
    first 0, negative ones from the prompt's end. Raises ValueError for another word or a position no prompt has.
    """
    is_text = torch.nn.functional.pad(prompts.is_text, (0, n_tokens))
    position = torch.arange(is_text.shape[1])[None]
    last = prompts.last[:, None]
    if isinstance(at, str):
        if at not in PLACES:
            raise ValueError(f"'{at}' is no place; use {', '.join(PLACES)}, or positions")
        is_generated = (position > last) & (position <= last + n_tokens)
        inside = {"prompt": is_text, "last": position == last, "generated": is_generated, "all": is_text | is_generated}
        return inside[at]
    n_text = is_text.sum(dim=1, keepdim=True)
    number = position - last + n_text - 1
    shortest = int(n_text.min())
    for place in at:
        if not -shortest <= place < shortest:
            raise ValueError(f"position {place}: the shortest prompt has {shortest} tokens, 0 to {shortest - 1}")
    chosen = [number == (place if place >= 0 else n_text + place) for place in at]
    return is_text & torch.stack(chosen).any(dim=0)


@torch.no_grad()
def steer(
    subject: Subject,
    dictionary: Dictionary,
    point: SitePoint,
    feature: int,
    prompts: Prompts,
    *,
    values: Sequence[float],
    at: str | Sequence[int] = "all",
    n_tokens: int = 30,
    temperature: float = 0.7,
    seed: int = 0,
    text: TokenText | None = None,
) -> list[Steered]:
    """Every prompt under every value, in the codes' units: prompts in turn, values within."""
    pieces = text or TokenText.of(subject.tokenizer, vocab_size=subject.vocab_size)
    chosen = torch.tensor([feature])
    mask = where(prompts, at, n_tokens=n_tokens)
    x = subject.activations(prompts.tokens, [point])[point]
    own = FeatureValues(dictionary, x, chosen).own[..., 0].cpu()

    def sampled(changes) -> list[str]:
        draw = torch.Generator().manual_seed(seed)
        rows = sample(subject, prompts, changes, n_tokens=n_tokens, temperature=temperature, draw=draw)
        return [_written(row, prompt, pieces) for row, prompt in zip(rows, _ids(prompts), strict=True)]

    clean, plain = next_logits(subject, prompts).cpu(), sampled(None)
    found = []
    for value in values:
        changes = {point: pin(dictionary, chosen, torch.tensor([float(value)]), at=mask)}
        logits, steered = next_logits(subject, prompts, changes).cpu(), sampled(changes)
        kl = divergence(clean, logits)
        for row in range(len(prompts)):
            held = own[row][mask[row, : own.shape[1]]]
            raised, lowered = _changed_most(clean[row], logits[row], subject, pieces)
            found.append(
                Steered(
                    prompt=row,
                    value=float(value),
                    own=float(held.max()) if len(held) else None,
                    kl=float(kl[row]),
                    plain=plain[row],
                    steered=steered[row],
                    raised=raised,
                    lowered=lowered,
                )
            )
    return sorted(found, key=lambda each: each.prompt)


def _ids(prompts: Prompts) -> list[list[int]]:
    return [tokens[is_text].tolist() for tokens, is_text in zip(prompts.tokens, prompts.is_text, strict=True)]


def _written(row: Tensor, prompt: Sequence[int], text: TokenText) -> str:
    """The sampled tokens as text; a character cut at the prompt's end is completed from it."""
    before = b"".join(text.document_pieces(prompt))
    return span_text(text.document_pieces(row.tolist(), offset=len(prompt)), before=before)[0]


def _changed_most(
    clean: Float[Tensor, " vocab"], steered: Float[Tensor, " vocab"], subject: Subject, text: TokenText
) -> tuple[tuple[NextToken, ...], tuple[NextToken, ...]]:
    plain, held = clean.softmax(-1), steered.softmax(-1)
    order = (held - plain).sort(descending=True, stable=True).indices
    shown = [token for token in order.tolist() if token not in subject.special_ids and text.pieces[token]]
    entries = [NextToken(text.display(t), float(plain[t]), float(held[t])) for t in (*shown[:N_NEXT], *shown[-N_NEXT:])]
    return tuple(entries[:N_NEXT]), tuple(reversed(entries[N_NEXT:]))
