"""Files as delphi, Neuronpedia and SAEDashboard write them, about features that fire on one word each."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from autointerp.seeds import stream
from tests.integration.world import _tokenizer, save_corpus

__all__ = ["N_CONTEXTS", "WIDTH", "WORDS", "Cached", "dashboard", "neuronpedia", "save_delphi"]

WORDS = ("river", "stone", "lantern", "harbour", "meadow", "copper")
WIDTH, N_CONTEXTS, N_LATENTS, SPLIT = 48, 120, 12, 6


@dataclass(frozen=True)
class Cached:
    """A cache's folder, its tokenizer's, and what is in it."""

    run: Path
    module: Path
    tokenizer: Path
    tokens: np.ndarray
    fires_on: dict[int, int]


def save_delphi(root: Path) -> Cached:
    """A run of delphi with one module: latent 2k fires on the k-th word's first token, the others never."""
    corpus = save_corpus(root / "corpus.jsonl", n_documents=120)
    tokenizer = _tokenizer(corpus, vocab_size=420)
    tokenizer.save_pretrained(root / "tokenizer")
    texts = [json.loads(line)["text"] for line in corpus.read_text(encoding="utf-8").splitlines()]
    ids = [id_ for text in texts for id_ in [0, *tokenizer.encode(text)]]
    tokens = np.array(ids[: WIDTH * N_CONTEXTS]).reshape(N_CONTEXTS, WIDTH)
    fires_on = {2 * place: tokenizer.encode(f" {word}")[-1] for place, word in enumerate(WORDS)}
    run = root / "run"
    module = run / "latents" / "layers.0.mlp"
    module.mkdir(parents=True)
    rows = [(*where, latent) for latent, token in fires_on.items() for where in np.argwhere(tokens == token)]
    locations = np.array(rows)
    activations = np.array([value_at(*row) for row in rows], dtype=np.float16)
    for start in range(0, N_LATENTS, SPLIT):
        own = (locations[:, 2] >= start) & (locations[:, 2] < start + SPLIT)
        shifted = (locations[own] - [0, 0, start]).astype(np.uint16)
        parts = {"locations": shifted, "activations": activations[own], "tokens": tokens}
        save_file(parts, module / f"{start}_{start + SPLIT - 1}.safetensors")
    (module / "config.json").write_text(json.dumps({"model_name": "tiny", "dataset_repo": "some/texts"}))
    return Cached(run, module, root / "tokenizer", tokens, fires_on)


def value_at(row: int, position: int, latent: int) -> float:
    return 0.5 + float(np.float16((row * 7 + position * 3 + latent) % 11))


def _texts(word: str, n: int) -> list[tuple[list[str], list[float]]]:
    found = []
    for index in range(n):
        rng = stream(0, "export", word, index)
        tokens = ["<|endoftext|>", *(f" w{int(i)}" for i in rng.integers(400, size=63))]
        place = int(rng.integers(1, 64))
        tokens[place] = f" {word}"
        values = [5.0, *([0.0] * 63)]
        values[place] = 1.0 + index % 7
        found.append((tokens, values))
    return found


def neuronpedia(folder: Path, *, words: Sequence[str] = WORDS, n_texts: int = 40) -> Path:
    """`features/batch-0.jsonl.gz` and `activations/batch-0.jsonl`, as Neuronpedia's exports lie."""
    features, activations = [], []
    for index, word in enumerate(words):
        key = {"modelId": "gpt2-small", "layer": "0-res-jb", "index": str(index)}
        facts = {"frac_nonzero": 0.01, "maxActApprox": 9.0, "pos_str": [f" {word}", " other"], "pos_values": [2.0, 1.0]}
        more = {"neg_str": [" no"], "neg_values": [-1.0], "hookName": "blocks.0.hook_resid_pre"}
        neurons = {"correlated_neurons_indices": [3], "correlated_neurons_pearson": [0.5]}
        features.append(key | facts | more | neurons)
        for tokens, values in _texts(word, n_texts):
            activations.append(key | {"tokens": tokens, "values": values, "maxValue": max(values)})
    _write(folder / "features" / "batch-0.jsonl.gz", features)
    _write(folder / "activations" / "batch-0.jsonl", activations)
    return folder


def dashboard(path: Path, *, n_texts: int = 40) -> Path:
    """SAEDashboard's `batch-0.json`, with the same features."""
    features: list[dict[str, Any]] = []
    for index, word in enumerate(WORDS):
        activations = [{"tokens": tokens, "values": values} for tokens, values in _texts(word, n_texts)]
        counts = {"frac_nonzero": 0.01, "n_prompts_total": 1000, "n_tokens_in_prompt": 64, "dataset": "some/texts"}
        logits = {"pos_str": [f" {word}"], "pos_values": [2.0], "neg_str": [], "neg_values": []}
        features.append({"feature_index": index, **counts, **logits, "activations": activations})
    path.write_text(json.dumps({"model_id": "gpt2", "layer": 0, "sae_set": "res-jb", "features": features}))
    return path


def _write(path: Path, rows: Sequence[Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(row) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
