"""sae_core: the trainer as the command line runs it, with resampling and AuxK idle."""

from __future__ import annotations

import math

import torch

from benchmarks.contestants.contestant import Contestant
from benchmarks.workload import Job, activations, initial_weights
from sae_core.build import build_dictionary
from sae_core.config import DictionaryConfig, TrainingConfig
from sae_core.encoder import EncoderDictionary
from sae_core.training.trainer import DictionaryTrainer

DISTRIBUTION = None


def build(job: Job) -> Contestant:
    """A dictionary with the given weights and its trainer."""
    training = TrainingConfig(
        n_tokens=10**9,
        batch_tokens=job.batch,
        learning_rate=job.learning_rate,
        warmup_frac=0.0,
        decay_frac=0.0,
        l1_warmup_frac=0.0,
        resample_every_steps=0,
        dead_after_tokens=10**9,
    )
    config = DictionaryConfig(
        kind=job.kind,  # pyright: ignore[reportArgumentType]
        n_features=job.n_features,
        k=job.k,
        l1_weight=job.l1 / math.sqrt(job.d_in),
    )
    dictionary = build_dictionary(config, d_in=job.d_in, seed=0, sample=activations(job, 0)[:1024])
    assert isinstance(dictionary, EncoderDictionary)
    dictionary.to(job.device)
    # The stream has mean norm sqrt(d_in) already.
    dictionary.input_scale.fill_(1.0)
    with torch.no_grad():
        for name, value in initial_weights(job).items():
            dictionary.get_parameter(name).copy_(value)
    trainer = DictionaryTrainer("ours", dictionary.train(), training)
    return Contestant(lambda x: trainer.step(x, is_recorded=False), dictionary)
