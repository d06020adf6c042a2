"""Documents as token ids: plain text, conversations rendered by the chat template, and rows tokenised before."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from autointerp.errors import InputError
from autointerp.records.document import Document
from autointerp.subject.tokens import TokenText, bos_id, encode_texts, special_ids, spells_text, style_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = ["Encoded", "iter_encoded"]

# text handed to the tokenizer at a time; bounds memory and keeps its threads busy
TOKENISE_CHARACTERS = 1 << 20


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """The tokens of one document."""

    document: str
    # [n]
    ids: np.ndarray
    # [n] False for the special tokens of a conversation or a tokenised row
    is_text: np.ndarray
    # the text, where ids do not spell it
    text: bytes | None = None
    # [2 n] where in `text` each token begins and ends; what lies between two tokens belongs to the second
    spans: np.ndarray | None = None

    @property
    def n_text(self) -> int:
        return int(np.count_nonzero(self.is_text))

    def part(self, start: int, end: int) -> Encoded:
        spans = None if self.spans is None else self.spans[:, start:end]
        return Encoded(self.document, self.ids[start:end], self.is_text[start:end], self.text, spans)

    def head(self, n_text: int) -> Encoded:
        return self.part(0, int(np.searchsorted(np.cumsum(self.is_text), n_text)) + 1)


def iter_encoded(documents: Iterable[Document], *, tokenizer: PreTrainedTokenizerBase) -> Iterator[Encoded]:
    """The tokens of each document that has any text, in order.

    Raises InputError for a conversation that the chat template refuses, and for token ids the vocabulary lacks.
    """
    encoder = _Encoder(tokenizer)
    group: list[Document] = []
    n_characters = 0
    for document in documents:
        group.append(document)
        n_characters += document.n_characters
        if n_characters >= TOKENISE_CHARACTERS:
            yield from encoder.encode(group)
            group, n_characters = [], 0
    yield from encoder.encode(group)


class _Encoder:
    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer: Any = tokenizer
        self._backend = getattr(tokenizer, "backend_tokenizer", None)
        # without the library `tokenizers` there are no offsets, and pieces are all there is
        self._spells = self._backend is None or spells_text(tokenizer)
        self._special = special_ids(tokenizer)
        self._has_template = bool(getattr(tokenizer, "chat_template", None))

    def encode(self, documents: Sequence[Document]) -> Iterator[Encoded]:
        chats = [d for d in documents if self._is_chat(d)]
        plain = iter(self._tokenise([d.text for d in documents if not d.token_ids and not self._is_chat(d)]))
        with _special_tokens_read(self._backend):
            rendered = iter(self._tokenise([self._render(d) for d in chats]))
        for document in documents:
            if document.token_ids:
                encoded = self._without_ends(document.id, *self._given(document))
            elif self._is_chat(document):
                encoded = self._without_ends(document.id, *next(rendered))
            else:
                ids, text, spans = next(plain)
                encoded = Encoded(document.id, ids, np.ones(len(ids), dtype=bool), text, spans)
            if encoded.is_text.any():
                yield encoded

    def _is_chat(self, document: Document) -> bool:
        return bool(document.messages) and self._has_template

    def _tokenise(self, texts: list[str]) -> list[tuple[np.ndarray, bytes | None, np.ndarray | None]]:
        """(ids, text, spans) of each text."""
        if self._spells or self._backend is None:
            return [(np.asarray(ids, dtype=np.int64), None, None) for ids in encode_texts(self._tokenizer, texts)]
        encodings = self._backend.encode_batch(texts, add_special_tokens=False)
        return [
            (np.asarray(encoding.ids, dtype=np.int64), text.encode(), _spans(text, encoding.offsets))
            for text, encoding in zip(texts, encodings, strict=True)
        ]

    def _render(self, document: Document) -> str:
        from jinja2 import TemplateError

        try:
            return self._tokenizer.apply_chat_template(list(document.messages), tokenize=False)
        except (TemplateError, TypeError, ValueError) as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise InputError(
                f"corpus.path: the chat template of the subject's tokenizer refuses {document.id} ({reason}); mend the "
                "row, or give plain texts and name their field in corpus.text_field"
            ) from error

    def _given(self, document: Document) -> tuple[np.ndarray, bytes | None, np.ndarray | None]:
        """(ids, text, spans) of a row that was tokenised before."""
        ids = np.asarray(document.token_ids, dtype=np.int64)
        unknown = ids[~np.isin(ids, self._vocabulary)]
        if len(unknown):
            raise InputError(
                f"corpus.path: {document.id} holds the token id {unknown[0]}, which is not in the vocabulary of the "
                f"subject's tokenizer ({len(self._vocabulary)} entries); tokenise with that, or give the texts"
            )
        if self._spells:
            return ids, None, None
        if style_of(self._tokenizer) == "plain":
            raise InputError(
                f"corpus.path: {document.id} holds token ids, but those of the subject's tokenizer do not tell the "
                "text between words; give the texts"
            )
        pieces = self._token_text.document_pieces(ids.tolist())
        ends = np.cumsum([len(piece) for piece in pieces])
        return ids, b"".join(pieces), np.stack([ends - [len(piece) for piece in pieces], ends])

    def _without_ends(self, document: str, ids: np.ndarray, text: bytes | None, spans: np.ndarray | None) -> Encoded:
        """The document with its special tokens marked as no text, without BOS, EOS and padding at its ends."""
        encoded = Encoded(document, ids, ~np.isin(ids, list(self._special)), text, spans)
        framing = (bos_id(self._tokenizer), self._tokenizer.eos_token_id, self._tokenizer.pad_token_id)
        inner = np.flatnonzero(~np.isin(ids, [token for token in framing if token is not None]))
        return encoded.part(int(inner[0]), int(inner[-1]) + 1) if len(inner) else encoded.part(0, 0)

    @cached_property
    def _vocabulary(self) -> np.ndarray:
        return np.unique(list(self._tokenizer.get_vocab().values()))

    @cached_property
    def _token_text(self) -> TokenText:
        return TokenText.of(self._tokenizer)


def _spans(text: str, offsets: Sequence[tuple[int, int]]) -> np.ndarray:
    """[2 n] where in the text's bytes each token begins and ends."""
    points = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)
    widths = 1 + (points > 0x7F) + (points > 0x7FF) + (points > 0xFFFF)
    place = np.concatenate([[0], np.cumsum(widths)])
    ends = place[np.maximum.accumulate(np.array([end for _, end in offsets], dtype=np.int64))] if offsets else place[:0]
    return np.stack([np.concatenate([[0], ends[:-1]])[: len(ends)], ends])


@contextmanager
def _special_tokens_read(backend: Any) -> Iterator[None]:
    """Within the block special tokens' spellings in a text are those tokens."""
    if backend is None:
        yield
        return
    before, backend.encode_special_tokens = backend.encode_special_tokens, False
    try:
        yield
    finally:
        backend.encode_special_tokens = before
