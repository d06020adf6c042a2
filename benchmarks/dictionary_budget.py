"""Quality of short trainings on stored activations, by kind, with what keeps features (`alive`) or without (`plain`).

    python -m benchmarks.dictionary_budget TRAIN HELDOUT --kinds relu mlp --tokens 98304 --n-features 1536 --l0 32

TRAIN and HELDOUT are stores of activations (`sae_core.activations`). Prints CSV, a row when it is done.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from sae_core.activations.store import TENSOR, ActivationStore, file_of, open_store
from sae_core.config import DictionaryConfig, TrainingConfig
from sae_core.quality import measure_quality
from sae_core.training.loop import train_dictionaries

__all__ = ["KINDS", "main"]

KINDS: dict[str, dict[str, Any]] = {
    "topk": {"kind": "topk"},
    "relu": {"kind": "relu"},
    "prolu": {"kind": "prolu"},
    "gated": {"kind": "gated"},
    "jumprelu": {"kind": "jumprelu"},
    "mlp": {"kind": "mlp"},
    "mlp-topk": {"kind": "mlp", "output": "topk"},
}
SAMPLE_ROWS = 4096
RARE = 1e-3
COLUMNS = (
    "kind",
    "settings",
    "tokens",
    "n_features",
    "batch_tokens",
    "learning_rate",
    "fvu",
    "l0",
    "dead",
    "rare",
    "cpu_s",
)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("train", type=Path)
    parser.add_argument("heldout", type=Path)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--settings", nargs="+", choices=("plain", "alive"), default=["plain", "alive"])
    parser.add_argument("--tokens", type=int, default=98_304)
    parser.add_argument("--rows", type=int, help="take the first so many rows of TRAIN")
    parser.add_argument("--n-features", type=int, default=1536)
    parser.add_argument("--hidden", type=int, default=768, help="width of an MLP encoder's hidden layer")
    parser.add_argument("--l0", type=int, default=32)
    parser.add_argument("--batch-tokens", type=int, default=512)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    asked = parser.parse_args(arguments)
    x, heldout = _rows(open_store(asked.train))[: asked.rows], _rows(open_store(asked.heldout))
    table = csv.DictWriter(sys.stdout, COLUMNS, lineterminator="\n")
    table.writeheader()
    for name in asked.kinds:
        # what differs is for penalised and JumpReLU rules alone
        has_k = name.endswith("topk")
        for settings in ["plain"] if has_k else asked.settings:
            table.writerow({"kind": name, "settings": settings, **_measured(name, settings, asked, x, heldout)})
            sys.stdout.flush()


def _measured(name: str, settings: str, asked: argparse.Namespace, x: Tensor, heldout: Tensor) -> dict[str, Any]:
    fields = {"n_features": asked.n_features, **KINDS[name]}
    fields |= {"k": asked.l0} if name.endswith("topk") else {"l0_target": float(asked.l0)}
    if fields["kind"] == "mlp":
        fields["hidden"] = (asked.hidden,)
    if settings == "plain" and fields["kind"] != "jumprelu":
        fields["start_density"] = 0.5  # biases of about 0
    if settings == "alive":
        fields["start_density"] = asked.l0 / asked.n_features
        fields["centre_hidden"] = fields["kind"] == "mlp"
    n_steps = asked.tokens // asked.batch_tokens
    every = max(1, n_steps // 8)
    training = TrainingConfig(
        n_tokens=n_steps * asked.batch_tokens,
        batch_tokens=asked.batch_tokens,
        learning_rate=asked.learning_rate,
        warmup_frac=0.05,
        l1_warmup_frac=0.05,
        resample_every_steps=every,
        resample_until_frac=0.85 if settings == "alive" else 0.55,
        dead_after_tokens=every * asked.batch_tokens,
        seed=1,
    )
    begun = time.process_time()
    trained = train_dictionaries(
        {name: (DictionaryConfig(**fields), training)},
        _batches(x, training),
        device="cpu",
        sample=x[:SAMPLE_ROWS].float(),
    )[name]
    seconds = time.process_time() - begun
    quality = measure_quality(trained.dictionary, heldout.split(SAMPLE_ROWS))
    return {
        "tokens": training.n_tokens,
        "n_features": asked.n_features,
        "batch_tokens": asked.batch_tokens,
        "learning_rate": asked.learning_rate,
        "fvu": f"{quality.fvu:.4f}",
        "l0": f"{quality.l0:.1f}",
        "dead": f"{quality.dead_frac:.3f}",
        "rare": f"{float((quality.density < RARE).float().mean()):.3f}",
        "cpu_s": f"{seconds:.0f}",
    }


def _batches(x: Tensor, training: TrainingConfig) -> Iterator[Tensor]:
    """Batches in a drawn order, as often through all rows as it takes."""
    n_given = epoch = 0
    while n_given < training.n_tokens:
        order = torch.randperm(x.shape[0], generator=torch.Generator().manual_seed(7 + epoch))
        for rows in order.split(training.batch_tokens):
            if rows.numel() == training.batch_tokens and n_given < training.n_tokens:
                yield x[rows].float()
                n_given += rows.numel()
        epoch += 1


def _rows(store: ActivationStore) -> Tensor:
    return torch.cat([load_file(file_of(store.directory, number))[TENSOR] for number in range(store.n_files)])


if __name__ == "__main__":
    main()
