"""The bytes of every token, and the text made of them.

Three spellings: byte-level BPE (GPT-2's table of bytes and characters), sentencepiece (a lower block for the space,
`<0xAB>` byte tokens), and plain strings for anything else.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = [
    "TokenText",
    "bos_id",
    "encode_texts",
    "plain_tokenizer",
    "separator_id",
    "span_text",
    "special_ids",
    "spells_text",
    "style_of",
    "token_bytes",
]

Style = Literal["byte_level", "sentencepiece", "plain"]
SPACE = "\u2581"
BYTE_TOKEN = re.compile(r"<0x([0-9A-Fa-f]{2})>")


@dataclass(frozen=True, slots=True)
class TokenText:
    """The bytes of every vocabulary entry, and whether the tokenizer puts a space of its own before a text."""

    # by id; b"" for an id without an entry (vocabularies padded to a round size)
    pieces: tuple[bytes, ...]
    adds_space: bool

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerBase, *, vocab_size: int | None = None) -> TokenText:
        pieces = token_bytes(tokenizer)
        pieces += [b""] * max(0, (vocab_size or 0) - len(pieces))
        first = encode_texts(tokenizer, ["a"])[0][:1]
        return cls(tuple(pieces), bool(first) and pieces[first[0]].startswith(b" "))

    def document_pieces(self, ids: Sequence[int], *, offset: int = 0) -> list[bytes]:
        """The bytes of a document's tokens from `offset` on, without a space the tokenizer added at offset 0."""
        pieces = [self.pieces[token] for token in ids]
        if pieces and offset == 0 and self.adds_space:
            pieces[0] = pieces[0].removeprefix(b" ")
        return pieces

    def display(self, token: int) -> str:
        """One token for display; a part of a character is shown as U+FFFD."""
        return self.pieces[token].decode("utf-8", errors="replace")


def token_bytes(tokenizer: PreTrainedTokenizerBase) -> list[bytes]:
    """The bytes of each id up to the highest; special tokens as their literal spelling."""
    vocabulary: dict[str, int] = tokenizer.get_vocab()
    pieces = [b""] * (max(vocabulary.values(), default=-1) + 1)
    literal = {int(i): str(token) for i, token in getattr(tokenizer, "added_tokens_decoder", {}).items()}
    literal |= dict(zip(tokenizer.all_special_ids, tokenizer.all_special_tokens, strict=True))
    style = style_of(tokenizer)
    prefix, suffix = _affixes(tokenizer)
    for string, token in vocabulary.items():
        shown = string.removeprefix(prefix).removesuffix(suffix)
        pieces[token] = literal[token].encode() if token in literal else _piece(shown, style)
    return pieces


def spells_text(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether the ids of a text tell all of it."""
    # word tokens lose what is between them, and unknown words themselves
    style = style_of(tokenizer)
    if style == "sentencepiece":
        vocabulary = tokenizer.get_vocab()
        return all(f"<0x{byte:02X}>" in vocabulary for byte in range(256))
    return style == "byte_level"


def style_of(tokenizer: PreTrainedTokenizerBase) -> Style:
    """How the vocabulary spells bytes and spaces, read from the tokenizer's own decoder where it has one."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is not None:
        decoder = json.loads(backend.decoder.__getstate__()) if backend.decoder is not None else {}
        steps = decoder.get("decoders", [decoder])
        if any(step.get("type") == "ByteLevel" for step in steps):
            return "byte_level"
        if any(step.get("type") in ("Metaspace", "ByteFallback") or _replaces_space(step) for step in steps):
            return "sentencepiece"
    vocabulary = tokenizer.get_vocab()
    if all(character in vocabulary for character in _byte_of_character()):
        return "byte_level"
    return "sentencepiece" if any(SPACE in string for string in vocabulary) else "plain"


def plain_tokenizer(tokenizer: PreTrainedTokenizerBase, *, n_rows: int | None = None) -> PreTrainedTokenizerBase:
    """A copy that reads special tokens' spellings inside a text (`</s>`, `<|endoftext|>`) as ordinary characters.

    With `n_rows`, added tokens whose ids an embedding of so many rows lacks are left out. Raises ValueError where other
    entries lie beyond it.
    """
    own: Any = copy.deepcopy(tokenizer)
    backend = getattr(own, "backend_tokenizer", None)
    if n_rows is not None and max(own.get_vocab().values(), default=-1) >= n_rows:
        if backend is None:
            raise ValueError("a tokenizer without the library `tokenizers` cannot be trimmed")
        own._tokenizer = backend = _trimmed(backend, n_rows)
        for part in ("bos_token", "eos_token", "pad_token"):
            if getattr(own, part) not in own.get_vocab():  # it would pass for the unknown word
                setattr(own, part, None)
    if backend is not None:
        backend.encode_special_tokens = True
        backend.no_truncation()
        backend.no_padding()
    return own


def _trimmed(backend: Any, n_rows: int) -> Any:
    """The tokenizer without the added tokens whose ids are `n_rows` or more. Raises ValueError where a piece of text
    has such an id.
    """
    tree = json.loads(backend.to_str())
    beyond = {token["content"] for token in tree["added_tokens"] if token["id"] >= n_rows}
    tree["added_tokens"] = [token for token in tree["added_tokens"] if token["id"] < n_rows]
    # a model's own vocabulary may list the added tokens as well
    model = tree["model"]
    if isinstance(model["vocab"], dict):
        model["vocab"] = {text: i for text, i in model["vocab"].items() if i < n_rows or text not in beyond}
    else:
        kept = model["vocab"][:n_rows]
        model["vocab"] = kept + [piece for piece in model["vocab"][n_rows:] if piece[0] not in beyond]
    merged = {"".join(pair if isinstance(pair, list) else pair.split(" ")) for pair in model.get("merges", ())}
    trimmed = type(backend).from_str(json.dumps(tree)) if not merged & beyond else backend
    if max(trimmed.get_vocab().values(), default=-1) >= n_rows:
        raise ValueError("ids that text needs lie beyond the rows")
    return trimmed


def encode_texts(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[list[int]]:
    """Without special tokens."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is not None:
        return [encoding.ids for encoding in backend.encode_batch_fast(list(texts), add_special_tokens=False)]
    return [tokenizer.encode(text, add_special_tokens=False) for text in texts]


def separator_id(tokenizer: PreTrainedTokenizerBase) -> int | None:
    """The special token between documents: BOS, else EOS, else none."""
    bos = bos_id(tokenizer)
    return _one(tokenizer.eos_token_id) if bos is None else bos


def bos_id(tokenizer: PreTrainedTokenizerBase) -> int | None:
    return _one(tokenizer.bos_token_id)


def special_ids(tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """Ids that are never text: all marked special but an unknown-word token, where text may become one."""
    # chat marks, `<filename>` and the like have no role of which `all_special_ids` knows
    marked = {token for token, about in getattr(tokenizer, "added_tokens_decoder", {}).items() if about.special}
    special = {token for token in {*tokenizer.all_special_ids, *marked} if token is not None}
    others = (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id)
    if tokenizer.unk_token_id not in others and not spells_text(tokenizer):
        special.discard(tokenizer.unk_token_id)
    return frozenset(special)


def span_text(pieces: Sequence[bytes], *, before: bytes = b"", after: bytes = b"") -> tuple[str, tuple[int, ...]]:
    """(text, token_starts) of a stretch of tokens, widened to whole characters by the neighbouring bytes `before`,
    `after`.

    Starts: one per token and one for the end, in bytes of `text.encode()`. Each run of invalid UTF-8 becomes U+FFFD.
    """
    core = b"".join(pieces)
    # a character has four bytes at most
    before, after = before[-3:], after[:3]
    raw = before + core + after
    start, end = len(before), len(before) + len(core)
    text: list[str] = []
    place = [0] * (len(raw) + 1)
    written = 0
    for low, high, character in _units(raw):
        if high <= start or low >= end:
            continue
        n_bytes = len(character.encode())
        for index in range(low, high + 1):
            place[index] = written + min(index - low, n_bytes)
        written += n_bytes
        place[high] = written
        text.append(character)
    edges = accumulate((len(piece) for piece in pieces), initial=start)
    return "".join(text), tuple(place[edge] for edge in edges)


def _units(raw: bytes) -> list[tuple[int, int, str]]:
    """Consecutive spans of `raw`: valid UTF-8 runs split into characters, and invalid runs as U+FFFD."""
    units: list[tuple[int, int, str]] = []
    position = 0
    while position < len(raw):
        try:
            valid, broken = raw[position:].decode(), 0
        except UnicodeDecodeError as error:
            valid, broken = raw[position : position + error.start].decode(), error.end - error.start
        for character in valid:
            width = len(character.encode())
            units.append((position, position + width, character))
            position += width
        if broken:
            units.append((position, position + broken, "\ufffd"))
            position += broken
    return units


def _piece(string: str, style: Style) -> bytes:
    if style == "byte_level":
        table = _byte_of_character()
        return b"".join(bytes([table[character]]) if character in table else character.encode() for character in string)
    if style == "sentencepiece":
        match = BYTE_TOKEN.fullmatch(string)
        return bytes([int(match[1], 16)]) if match else string.replace(SPACE, " ").encode("utf-8", "replace")
    return string.encode("utf-8", "replace")


def _one(token: Any) -> int | None:
    return token if isinstance(token, int) else None


def _affixes(tokenizer: PreTrainedTokenizerBase) -> tuple[str, str]:
    """What the model's spelling puts before pieces that go on a word (`##`) and behind those that end one."""
    model = getattr(getattr(tokenizer, "backend_tokenizer", None), "model", None)
    return getattr(model, "continuing_subword_prefix", None) or "", getattr(model, "end_of_word_suffix", None) or ""


def _replaces_space(step: dict[str, Any]) -> bool:
    return step.get("type") == "Replace" and step.get("pattern", {}).get("String") == SPACE


@lru_cache(maxsize=1)
def _byte_of_character() -> dict[str, int]:
    """GPT-2's table of bytes and characters."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    table = {chr(byte): byte for byte in printable}
    others = [byte for byte in range(256) if byte not in set(printable)]
    return table | {chr(0x100 + index): byte for index, byte in enumerate(others)}
