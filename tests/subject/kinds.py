"""Tokenizers whose ids do not spell the text, trained on a few lines: spaces, case or rare characters are lost."""

from __future__ import annotations

from collections.abc import Callable

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

LINES = [
    "Lily's ball rolled away.\nShe  ran after it, far far away!",
    "The naive cafe served ice cream to Lily, one two three times.",
]


def word_piece() -> PreTrainedTokenizerFast:
    """As BERT's, lower-cased and without accents; `##` begins what goes on."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    return _trained(tokenizer, trainers.WordPieceTrainer(vocab_size=60, special_tokens=["[UNK]"], show_progress=False))


def word_level() -> PreTrainedTokenizerFast:
    """Whole words, all others unknown."""
    tokenizer = Tokenizer(models.WordLevel(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return _trained(tokenizer, trainers.WordLevelTrainer(vocab_size=20, special_tokens=["[UNK]"], show_progress=False))


def suffixed() -> PreTrainedTokenizerFast:
    """BPE of characters, lower-cased; `</w>` ends a word."""
    tokenizer = Tokenizer(models.BPE(unk_token="[UNK]", end_of_word_suffix="</w>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.BPEDecoder(suffix="</w>")
    trainer = trainers.BpeTrainer(
        vocab_size=90, special_tokens=["[UNK]"], end_of_word_suffix="</w>", show_progress=False
    )
    return _trained(tokenizer, trainer)


def unigram() -> PreTrainedTokenizerFast:
    """Sentencepiece's other model: a block for the space, no bytes, compatibility characters rewritten."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=60, special_tokens=["[UNK]"], unk_token="[UNK]", show_progress=False)
    return _trained(tokenizer, trainer)


KINDS: dict[str, Callable[[], PreTrainedTokenizerFast]] = {
    "word_piece": word_piece,
    "word_level": word_level,
    "suffixed": suffixed,
    "unigram": unigram,
}
"""Those whose ids do not spell the text."""


def _trained(tokenizer: Tokenizer, trainer: trainers.Trainer) -> PreTrainedTokenizerFast:
    tokenizer.train_from_iterator(LINES, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="[UNK]")
