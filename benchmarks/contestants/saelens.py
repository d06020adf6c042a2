"""SAELens: its training SAE in its own trainer, whose `step` and configuration are used unchanged."""

from __future__ import annotations

import torch
from sae_lens import StandardTrainingSAE, StandardTrainingSAEConfig, TopKTrainingSAE, TopKTrainingSAEConfig
from sae_lens.config import LoggingConfig
from sae_lens.training.sae_trainer import SAETrainer, SAETrainerConfig
from torch import Tensor

from benchmarks.contestants.contestant import Contestant
from benchmarks.workload import Job, initial_weights

DISTRIBUTION = "sae-lens"


def build(job: Job) -> Contestant:
    """The SAE with the given weights and its trainer; no dead features, so the auxiliary loss is idle."""
    if job.kind == "topk":
        sae = TopKTrainingSAE(TopKTrainingSAEConfig(d_in=job.d_in, d_sae=job.n_features, k=job.k, device=job.device))
    else:
        sae = StandardTrainingSAE(
            StandardTrainingSAEConfig(
                d_in=job.d_in, d_sae=job.n_features, l1_coefficient=job.l1, l1_warm_up_steps=0, device=job.device
            )
        )
    with torch.no_grad():
        weights = initial_weights(job)
        sae.W_enc.copy_(weights["W_enc"].T)
        for name in ("b_enc", "W_dec", "b_dec"):
            sae.get_parameter(name).copy_(weights[name])
    config = SAETrainerConfig(
        total_training_samples=10**9,
        train_batch_size_samples=job.batch,
        lr=job.learning_rate,
        lr_end=job.learning_rate,
        device=job.device,
        dead_feature_window=10**9,
        feature_sampling_window=10**9,
        logger=LoggingConfig(log_to_wandb=False),
    )
    trainer = SAETrainer(config, sae, data_provider=iter(()))

    def step(x: Tensor) -> None:
        trainer.step(x)
        trainer.n_training_steps += 1

    return Contestant(step, sae)
