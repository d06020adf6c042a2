"""A tiny Llama, as transformers has it and as a GGUF file, and wheels that hold such files."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from tests.subject import kinds

CHAT_TEMPLATE = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
N_HEADS, N_KV_HEADS, N_LAYERS, WIDTH, MLP, CONTEXT = 4, 2, 2, 32, 64, 64
SPECIAL = "<filename>"
_NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}


def tiny_llama() -> LlamaForCausalLM:
    """Tied embeddings; as many entries as `kinds.byte_level()` and one special token more."""
    torch.manual_seed(0)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(kinds.byte_level()) + 1,
            hidden_size=WIDTH,
            intermediate_size=MLP,
            num_hidden_layers=N_LAYERS,
            num_attention_heads=N_HEADS,
            num_key_value_heads=N_KV_HEADS,
            max_position_embeddings=CONTEXT,
            rms_norm_eps=1e-5,
            tie_word_embeddings=True,
            initializer_range=0.4,
        )
    ).eval()


def write_gguf(path: Path, *, quantised: bool = False, architecture: str = "llama", without: str = "") -> Path:
    """`tiny_llama()` in float32, or its matrices in Q4_1; `without` names a tensor to leave out."""
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(N_LAYERS)
    writer.add_feed_forward_length(MLP)
    writer.add_head_count(N_HEADS)
    writer.add_head_count_kv(N_KV_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10_000.0)
    writer.add_rope_dimension_count(WIDTH // N_HEADS)
    _add_tokenizer(writer)
    for name, weight in tensors().items():
        if name == without:
            continue
        if quantised and weight.ndim == 2:
            kind = gguf.GGMLQuantizationType.Q4_1
            writer.add_tensor(name, gguf.quantize(weight, kind), raw_dtype=kind)
        else:
            writer.add_tensor(name, weight)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def tensors() -> dict[str, np.ndarray]:
    """By GGUF's names; queries and keys in GGUF's order of rotary pairs."""
    weights = {name: weight.numpy() for name, weight in tiny_llama().state_dict().items()}
    named = {
        "token_embd.weight": weights["model.embed_tokens.weight"],
        "output_norm.weight": weights["model.norm.weight"],
    }
    for layer in range(N_LAYERS):
        for ours, theirs in _NAMES.items():
            weight = weights[f"model.layers.{layer}.{ours}.weight"]
            heads = {"attn_q": N_HEADS, "attn_k": N_KV_HEADS}.get(theirs)
            if heads is not None:
                weight = weight.reshape(heads, 2, -1, WIDTH).swapaxes(1, 2).reshape(weight.shape)
            named[f"blk.{layer}.{theirs}.weight"] = np.ascontiguousarray(weight)
    return named


def write_wheel(folder: Path, name: str, file: str, content: bytes, *, version: str = "0.1.0") -> Path:
    """A wheel with one file in it, and a module that fails when it is imported."""
    module, info = name.replace("-", "_"), f"{name.replace('-', '_')}-{version}.dist-info"
    members = {
        f"{module}/__init__.py": b"raise SystemExit('the wheel was executed')\n",
        file: content,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{member},,\n" for member in (*members, f"{info}/RECORD"))
    wheel = folder / f"{module}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, data in (members | {f"{info}/RECORD": record.encode()}).items():
            archive.writestr(member, data)
    return wheel


def _add_tokenizer(writer: Any) -> None:
    tree = json.loads(kinds.byte_level().backend_tokenizer.to_str())
    vocabulary: dict[str, int] = tree["model"]["vocab"]
    tokens = [*sorted(vocabulary, key=vocabulary.__getitem__), SPECIAL]
    special = {token["content"] for token in tree["added_tokens"]} | {SPECIAL}
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([gguf.TokenType.CONTROL if t in special else gguf.TokenType.NORMAL for t in tokens])
    writer.add_token_merges([" ".join(pair) if isinstance(pair, list) else pair for pair in tree["model"]["merges"]])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(0)
    writer.add_chat_template(CHAT_TEMPLATE)
