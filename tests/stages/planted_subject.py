"""Subjects with known activations: at `resid_pre` of block 0 stands what was planted for a token and a position."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

__all__ = ["save_planted", "save_words"]


def save_planted(folder: Path, *, tokens: Tensor, positions: Tensor) -> Path:
    """A GPT-2 of one block; `tokens` [vocab d], `positions` [pos d]. Words are `w0`, `w1`, ...; there is no BOS."""
    n_vocab, width = tokens.shape
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = GPT2Config(
            vocab_size=n_vocab,
            n_embd=width,
            n_layer=1,
            n_head=2,
            n_positions=len(positions),
            activation_function="relu",
            bos_token_id=None,
            eos_token_id=None,
        )
        model = GPT2LMHeadModel(config)
    with torch.no_grad():
        model.transformer.wte.weight.copy_(tokens)
        model.transformer.wpe.weight.copy_(positions)
    tokenizer = Tokenizer(models.WordLevel({f"w{i}": i for i in range(n_vocab)}, unk_token="w0"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    model.save_pretrained(folder)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="w0").save_pretrained(folder)
    return folder


def save_words(path: Path, *, n_vocab: int, n_documents: int, n_words: int) -> Path:
    """A .jsonl file of documents of words drawn evenly, the first of the vocabulary left out."""
    rng = np.random.default_rng(0)
    texts = (" ".join(f"w{i}" for i in rng.integers(1, n_vocab, n_words)) for _ in range(n_documents))
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")
    return path
