"""Prompts as a batch: BOS first where the tokenizer has one, padded behind, which a causal model does not see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from autointerp.errors import InputError
from autointerp.subject.tokens import encode_texts

if TYPE_CHECKING:
    from autointerp.subject.model import Subject

__all__ = ["Prompts", "encode_prompts"]


@dataclass(frozen=True, eq=False)
class Prompts:
    """`is_text` is off at BOS and padding, which no intervention changes."""

    tokens: Int[Tensor, "prompt pos"]
    is_text: Bool[Tensor, "prompt pos"]

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def last(self) -> Int[Tensor, " prompt"]:
        """The position of each prompt's last token."""
        positions = torch.arange(self.tokens.shape[1]).expand_as(self.tokens)
        return torch.where(self.is_text, positions, -1).amax(dim=1)

    @property
    def is_last(self) -> Bool[Tensor, "prompt pos"]:
        return torch.arange(self.tokens.shape[1])[None] == self.last[:, None]

    def part(self, rows: slice | Int[Tensor, " chosen"]) -> Prompts:
        return Prompts(self.tokens[rows], self.is_text[rows])

    def repeated(self, n: int) -> Prompts:
        """All prompts `n` times over, one whole set after the other."""
        return Prompts(self.tokens.repeat(n, 1), self.is_text.repeat(n, 1))


def encode_prompts(subject: Subject, texts: Sequence[str]) -> Prompts:
    """Raises InputError for a text that is empty or longer than the subject's positions."""
    encoded = encode_texts(subject.tokenizer, texts)
    bos = [] if subject.bos_id is None else [subject.bos_id]
    for text, ids in zip(texts, encoded, strict=True):
        if not ids:
            raise InputError(f"prompt '{text}': it has no token; write some text")
        if subject.max_positions is not None and len(ids) + len(bos) > subject.max_positions:
            raise InputError(
                f"prompt '{text[:40]}...': {len(ids)} tokens are more than the {subject.max_positions} positions of "
                f"'{subject.name}'; shorten it"
            )
    longest = max(map(len, encoded), default=0)
    tokens = torch.zeros(len(texts), len(bos) + longest, dtype=torch.int64)
    is_text = torch.zeros_like(tokens, dtype=torch.bool)
    for row, ids in enumerate(encoded):
        tokens[row, : len(bos) + len(ids)] = torch.tensor(bos + ids)
        is_text[row, len(bos) : len(bos) + len(ids)] = True
    return Prompts(tokens, is_text)
