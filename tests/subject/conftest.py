"""Tiny subjects made from configs, tokenizers trained on the spot, and documents to feed them."""

from __future__ import annotations

import copy
import os
from pathlib import Path

import pytest
import torch
from transformers import (
    Gemma3Config,
    Gemma3ForConditionalGeneration,
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MixtralConfig,
    MixtralForCausalLM,
    PreTrainedTokenizerFast,
)

from autointerp.config.tree import SubjectConfig
from autointerp.records.document import Document
from autointerp.subject.model import load_subject
from tests.subject import kinds


@pytest.fixture(scope="session")
def sentences() -> list[str]:
    return list(kinds.SENTENCES)


@pytest.fixture(scope="session")
def byte_tokenizer() -> PreTrainedTokenizerFast:
    return kinds.byte_level()


@pytest.fixture(scope="session")
def piece_tokenizer() -> PreTrainedTokenizerFast:
    return kinds.byte_fallback()


def _gpt2(n_vocab: int):
    return GPT2LMHeadModel(
        GPT2Config(
            vocab_size=n_vocab,
            n_embd=16,
            n_layer=3,
            n_head=4,
            n_positions=64,
            activation_function="relu",
            bos_token_id=0,
            eos_token_id=0,
            initializer_range=0.4,
        )
    )


def _llama(n_vocab: int):
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=n_vocab,
            hidden_size=16,
            intermediate_size=24,
            num_hidden_layers=3,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=64,
            initializer_range=0.4,
        )
    )


def _neox(n_vocab: int):
    return GPTNeoXForCausalLM(
        GPTNeoXConfig(
            vocab_size=n_vocab,
            hidden_size=16,
            intermediate_size=24,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=64,
        )
    )


def _mixtral(n_vocab: int):
    """Experts in every layer."""
    return MixtralForCausalLM(
        MixtralConfig(
            vocab_size=n_vocab,
            hidden_size=16,
            intermediate_size=24,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            num_local_experts=3,
            max_position_embeddings=64,
            initializer_range=0.4,
        )
    )


def _gemma3(n_vocab: int):
    """A model that reads images too, with norms behind attention and MLP."""
    return Gemma3ForConditionalGeneration(
        Gemma3Config(
            text_config={
                "vocab_size": n_vocab,
                "hidden_size": 16,
                "intermediate_size": 24,
                "num_hidden_layers": 2,
                "num_attention_heads": 4,
                "num_key_value_heads": 2,
                "head_dim": 4,
                "max_position_embeddings": 64,
                "sliding_window": 32,
                "initializer_range": 0.4,
            },
            vision_config={
                "hidden_size": 8,
                "intermediate_size": 8,
                "num_hidden_layers": 1,
                "num_attention_heads": 2,
                "image_size": 28,
                "patch_size": 14,
            },
            mm_tokens_per_image=4,
            image_token_index=n_vocab - 1,
            boi_token_index=n_vocab - 2,
            eoi_token_index=n_vocab - 3,
        )
    )


def _perturbed(model):
    """Gains and biases away from 1 and 0, so that a test would see them dropped."""
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "ln" in name or "norm" in name or name.endswith("bias"):
                weight += 0.3 * torch.randn(weight.shape)
    return model.eval()


@pytest.fixture(scope="session")
def raw_models(byte_tokenizer):
    """Plain transformers models, by family, never handed to a subject."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        builders = {"gpt2": _gpt2, "llama": _llama, "neox": _neox, "mixtral": _mixtral, "gemma3": _gemma3}
        return {family: _perturbed(build(len(byte_tokenizer))) for family, build in builders.items()}


@pytest.fixture(scope="session")
def subjects(raw_models, byte_tokenizer):
    """The same models as subjects."""
    config = SubjectConfig(model="tiny", context_tokens=32, site="resid_post")
    return {
        family: load_subject(config, device="cpu", hf_model=copy.deepcopy(model), tokenizer=byte_tokenizer)
        for family, model in raw_models.items()
    }


@pytest.fixture(scope="session")
def tokens(byte_tokenizer) -> torch.Tensor:
    """[3 12] ids without meaning, BOS first."""
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(1, len(byte_tokenizer), (3, 12), generator=generator)
    ids[:, 0] = 0
    return ids


@pytest.fixture(scope="session")
def documents() -> list[Document]:
    """Forty documents of very different lengths."""
    return [
        Document(f"d{i}", "test", " ".join(kinds.SENTENCES[(i + j) % len(kinds.SENTENCES)] for j in range(1 + i % 5)))
        for i in range(40)
    ]


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real models and texts; skips where it is absent."""
    folder = Path(os.environ.get("AUTOINTERP_REAL_DATA", Path(__file__).parents[3] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip("no real data: set AUTOINTERP_REAL_DATA or put it at ../shared/data")
    return folder
