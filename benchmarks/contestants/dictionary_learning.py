"""dictionary_learning: its trainers' `update`, unchanged."""

from __future__ import annotations

from itertools import count

import torch
from torch import Tensor

from benchmarks.contestants.contestant import Contestant
from benchmarks.contestants.torchvision_stub import make_torchvision_importable
from benchmarks.workload import Job, initial_weights

make_torchvision_importable()
from dictionary_learning.trainers.standard import StandardTrainer  # noqa: E402
from dictionary_learning.trainers.top_k import TopKTrainer  # noqa: E402

DISTRIBUTION = "dictionary-learning"


def build(job: Job) -> Contestant:
    """The trainer with the given weights. Steps count from 1: at step 0 it would set its bias anew."""
    common = {
        "steps": 10**6,
        "activation_dim": job.d_in,
        "dict_size": job.n_features,
        "layer": 0,
        "lm_name": "none",
        "lr": job.learning_rate,
        "warmup_steps": 0,
        "device": job.device,
    }
    if job.kind == "topk":
        trainer = TopKTrainer(**common, k=job.k)
    else:
        trainer = StandardTrainer(**common, l1_penalty=job.l1, sparsity_warmup_steps=None)
    weights = initial_weights(job)
    with torch.no_grad():
        trainer.ae.encoder.weight.copy_(weights["W_enc"])
        trainer.ae.encoder.bias.copy_(weights["b_enc"])
        trainer.ae.decoder.weight.copy_(weights["W_dec"].T)
        bias = trainer.ae.b_dec if job.kind == "topk" else trainer.ae.bias
        bias.copy_(weights["b_dec"])
    numbers = count(1)

    def step(x: Tensor) -> None:
        trainer.update(next(numbers), x)

    return Contestant(step, trainer.ae)
