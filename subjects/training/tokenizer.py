"""The builtin subject's tokenizer, in HuggingFace layout."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

__all__ = ["BOS_TOKEN", "PAD_TOKEN", "save_builtin_tokenizer", "train_builtin_tokenizer"]

BOS_TOKEN = "<|bos|>"
PAD_TOKEN = "<|pad|>"


def train_builtin_tokenizer(
    texts: Iterable[str], *, vocab_size: int = 4096, is_progress_shown: bool = False
) -> Tokenizer:
    """A byte-level BPE (Radford et al. 2019) of at most `vocab_size` entries, 256 bytes and two specials included.

    `<|bos|>` has id 0 and `<|pad|>` id 1. Equal texts give equal merges.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[BOS_TOKEN, PAD_TOKEN],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=is_progress_shown,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def save_builtin_tokenizer(tokenizer: Tokenizer, folder: Path, *, n_positions: int) -> None:
    """`<|bos|>` also ends a document, as in GPT-2."""
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=BOS_TOKEN,
        eos_token=BOS_TOKEN,
        pad_token=PAD_TOKEN,
        model_max_length=n_positions,
        clean_up_tokenization_spaces=False,
    )
    wrapped.save_pretrained(folder)
