"""Documents and their roles.

A role is a hash of the document's id: the same in every run, and no explained document is ever scored.
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
    """One text. `id` is unique and stable: a path, or a path with a row number.

    messages: the conversation rendered in `text`, for chat templates. token_ids: a text tokenised before; then `text`
    is empty.
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
        """Length in characters; a token counts as four."""
        return len(self.text) + 4 * len(self.token_ids)


def family_of(document_id: str, depth: int = 1) -> str:
    """First `depth` folders of an id: `stdlib` of `stdlib/json/decoder.py`, "" without folders."""
    return "/".join(document_id.split("/")[:-1][:depth])


def role_of(document_id: str, shares: dict[Role, float] = DEFAULT_SHARES) -> Role:
    """Role by a hash of the id; `shares` sum to 1."""
    point, edge = unit_hash("role", document_id), 0.0
    for role, share in shares.items():
        edge += share
        if point < edge:
            return role
    # rounding may leave the last edge just below 1
    return "score"
