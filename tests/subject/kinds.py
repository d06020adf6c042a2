"""Tokenizers of every kind, made on the spot: some whose ids spell the text, some where spaces, case or rare characters
are lost."""

from __future__ import annotations

from collections.abc import Callable

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from autointerp.resources import resource

LINES = [
    "Lily's ball rolled away.\nShe  ran after it, far far away!",
    "The naive cafe served ice cream to Lily, one two three times.",
]


SENTENCES = [
    "The quick brown fox jumps over the lazy dog, then sleeps.",
    "Once upon a time there was a little girl who liked the sea.",
    "def add(a, b):\n    return a + b  # a sum\n",
    "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich.",
    "مرحبا بالعالم، هذا نص قصير.",
    "שלום עולם",
    "Smile 😀 and wave 👋🏽 at the family 👨‍👩‍👧.",
    "数字は 12345 です。",
]


def byte_level() -> PreTrainedTokenizerFast:
    """Byte-level BPE so small that most non-Latin characters are split over several tokens."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<|endoftext|>", eos_token="<|endoftext|>")


def byte_fallback() -> PreTrainedTokenizerFast:
    """Sentencepiece style: a block for the space, one put before the text, byte tokens for rare characters."""
    bytes_as_tokens = [f"<0x{byte:02X}>" for byte in range(256)]
    words = ["\u2581", *"abcdefghijklmnopqrstuvwxyz", "\u2581t", "\u2581th"]
    vocabulary = {token: index for index, token in enumerate(["<unk>", "<s>", "</s>", *bytes_as_tokens, *words])}
    merges = [("\u2581", "t"), ("\u2581t", "h")]
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


LETTERS = "abcdefghijklmnopqrstuvwxyz"
UNKNOWN = "[UNK]"


def word_piece() -> PreTrainedTokenizerFast:
    """As BERT's, lower-cased and without accents; `##` begins what goes on."""
    pieces = [*LETTERS, *(f"##{letter}" for letter in LETTERS), *".,'", "lily", "ball", "##ll", "##ed", "away", "far"]
    tokenizer = Tokenizer(models.WordPiece(_numbered(pieces), unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token=UNKNOWN)


def word_level() -> PreTrainedTokenizerFast:
    """Whole words, all others unknown."""
    words = ["Lily", "'", "s", "ball", "rolled", "away", ".", ",", "She", "ran", "after", "it", "far", "!", "the", "a"]
    tokenizer = Tokenizer(models.WordLevel(_numbered(words), unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token=UNKNOWN)


def suffixed() -> PreTrainedTokenizerFast:
    """BPE of characters, lower-cased; `</w>` ends a word."""
    pieces = [*LETTERS, *(f"{letter}</w>" for letter in LETTERS), *(f"{mark}</w>" for mark in ".,'"), "li", "ly</w>"]
    merges = [("l", "i"), ("l", "y</w>")]
    model = models.BPE(_numbered(pieces), merges, unk_token=UNKNOWN, end_of_word_suffix="</w>")
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.BPEDecoder(suffix="</w>")
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token=UNKNOWN)


def unigram() -> PreTrainedTokenizerFast:
    """Sentencepiece's other model: a block for the space, no bytes, compatibility characters rewritten."""
    scores = {"\u2581Lily": -1.0, "\u2581ball": -1.5, "ll": -2.0, "\u2581": -3.0}
    scores |= dict.fromkeys(f"{LETTERS}LS.,'", -4.0)
    tokenizer = Tokenizer(models.Unigram([(UNKNOWN, 0.0), *scores.items()], unk_id=0))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token=UNKNOWN)


def builtin() -> PreTrainedTokenizerFast:
    """The embedded subject's own."""
    return AutoTokenizer.from_pretrained(resource("subjects/builtin"))


KINDS: dict[str, Callable[[], PreTrainedTokenizerFast]] = {
    "byte_level": byte_level,
    "byte_fallback": byte_fallback,
    "builtin": builtin,
    "word_piece": word_piece,
    "word_level": word_level,
    "suffixed": suffixed,
    "unigram": unigram,
}
SPELLING = {"byte_level", "byte_fallback", "builtin"}
"""Those whose ids spell the text."""


def _numbered(pieces: list[str]) -> dict[str, int]:
    return {piece: index for index, piece in enumerate([UNKNOWN, *pieces])}
