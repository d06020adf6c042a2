"""A document of the corpus and the role it plays.

A document's role is a hash of its id, so it is the same in every run and no document ever serves two ends:
whatever an explainer saw can never be scored (the leak measured in other tools).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from autointerp.seeds import unit_hash

__all__ = ["DEFAULT_SHARES", "Document", "Role", "family_of", "role_of"]

Role = Literal["subject", "dictionary", "explain", "score"]

DEFAULT_SHARES: dict[Role, float] = {"subject": 0.0, "dictionary": 0.6, "explain": 0.2, "score": 0.2}


@dataclass(frozen=True, slots=True)
class Document:
    """One text with its provenance. `id` is unique in its corpus and stable: a path, or a path with a row number.

    messages: the conversation that `text` is a plain rendering of, for tokenizers with a chat template.
    token_ids: a text that was tokenised before; `text` is then empty.
    """

    id: str
    source: str
    text: str
    messages: tuple[Mapping[str, Any], ...] = ()
    token_ids: tuple[int, ...] = ()

    @property
    def is_empty(self) -> bool:
        return not self.token_ids and not self.text.strip()

    @property
    def n_characters(self) -> int:
        """How much it holds, for what is bounded by it: a token counts as four."""
        return len(self.text) + 4 * len(self.token_ids)


def family_of(document_id: str, depth: int = 1) -> str:
    """The first `depth` folders of a document's id: `stdlib` of `stdlib/json/decoder.py`; nothing where it has none."""
    return "/".join(document_id.split("/")[:-1][:depth])


def role_of(document_id: str, shares: dict[Role, float] = DEFAULT_SHARES) -> Role:
    """The role of a document: its id's hash falls into one of the `shares`, which sum to 1."""
    point, edge = unit_hash("role", document_id), 0.0
    for role, share in shares.items():
        edge += share
        if point < edge:
            return role
    return "score"
