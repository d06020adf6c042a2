"""The table of kinds, and building a dictionary from a configuration."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from sae_core.architectures.abstopk import AbsTopKDictionary
from sae_core.architectures.batchtopk import BatchTopKDictionary
from sae_core.architectures.components import IcaDictionary, PcaDictionary
from sae_core.architectures.fixed import IdentityDictionary, RandomDictionary
from sae_core.architectures.gated import GatedDictionary
from sae_core.architectures.inferred import InferredDictionary
from sae_core.architectures.jumprelu import JumpReluDictionary
from sae_core.architectures.matryoshka import MatryoshkaDictionary
from sae_core.architectures.mlp import MLP_FAMILIES
from sae_core.architectures.prolu import ProluDictionary
from sae_core.architectures.relu import ReluDictionary
from sae_core.architectures.shuffled import ShuffledDictionary
from sae_core.architectures.sparse_coding import SparseCodingDictionary
from sae_core.architectures.topk import TopKDictionary
from sae_core.config import DictionaryConfig
from sae_core.dictionary import Dictionary
from sae_core.encoder import EncoderDictionary
from sae_core.errors import TrainingDataError, WidthMismatchError
from sae_core.randomness import generator
from sae_core.trainable import TrainableDictionary

__all__ = ["FAMILIES", "FITTED_KINDS", "build_dictionary", "fit_input_scale"]

Factory = Callable[[DictionaryConfig, int, torch.Generator, "Tensor | None"], Dictionary]


def _of(family: type[EncoderDictionary]) -> Factory:
    return lambda config, d_in, draw, sample: family(config, d_in=d_in, draw=draw, sample=sample)


FAMILIES: dict[str, Factory] = {
    "relu": _of(ReluDictionary),
    "topk": _of(TopKDictionary),
    "batchtopk": _of(BatchTopKDictionary),
    "abstopk": _of(AbsTopKDictionary),
    "jumprelu": _of(JumpReluDictionary),
    "gated": _of(GatedDictionary),
    "prolu": _of(ProluDictionary),
    "matryoshka": _of(MatryoshkaDictionary),
    "mlp": lambda config, d_in, draw, sample: _of(MLP_FAMILIES[config.output])(config, d_in, draw, sample),
    "sparse_coding": lambda config, d_in, draw, sample: SparseCodingDictionary(
        config, d_in=d_in, draw=draw, sample=sample
    ),
    "inferred": lambda config, d_in, draw, sample: InferredDictionary(config, d_in=d_in, draw=draw, sample=sample),
    "identity": lambda config, d_in, draw, sample: IdentityDictionary(config, d_in=d_in),
    "pca": lambda config, d_in, draw, sample: PcaDictionary(config, d_in=d_in, sample=sample),
    "ica": lambda config, d_in, draw, sample: IcaDictionary(config, d_in=d_in, draw=draw, sample=sample),
    "shuffled": lambda config, d_in, draw, sample: ShuffledDictionary(config, d_in=d_in, draw=draw),
    "random": lambda config, d_in, draw, sample: RandomDictionary(config, d_in=d_in, draw=draw, sample=sample),
}

FITTED_KINDS = frozenset({"pca", "ica"})
"""Kinds that need a sample."""


def build_dictionary(
    config: DictionaryConfig,
    *,
    d_in: int,
    seed: int,
    sample: Float[Tensor, "n_sample d_in"] | None = None,
    normalise_inputs: bool = True,
) -> Dictionary:
    """A fresh dictionary on the CPU in float32.

    `sample` sets the decoder bias (geometric median) and `input_scale`, else 0 and 1. Raises TrainingDataError for a
    sample that is empty, zero, not finite, or missing for pca and ica; WidthMismatchError.
    """
    rows = None if sample is None else sample.detach().to(device="cpu", dtype=torch.float32)
    if rows is not None and rows.shape[-1] != d_in:
        raise WidthMismatchError(
            f"the sample of activations is {rows.shape[-1]} wide, but the dictionary is to be {d_in} wide; "
            "take the sample from the site the dictionary is for"
        )
    if rows is None and config.kind in FITTED_KINDS:
        raise TrainingDataError(f"kind {config.kind!r} is fitted to activations; give build_dictionary a sample")
    scale = 1.0 if rows is None else fit_input_scale(rows)
    dictionary = FAMILIES[config.kind](config, d_in, generator(seed, "build", config.kind), rows)
    if isinstance(dictionary, TrainableDictionary) and normalise_inputs:
        dictionary.set_input_scale(scale)
    if isinstance(dictionary, EncoderDictionary) and rows is not None:
        dictionary.start_sparse(rows)
    return dictionary


def fit_input_scale(sample: Float[Tensor, "n_sample d_in"]) -> float:
    """The factor that brings the mean norm to sqrt(d_in). Raises TrainingDataError for an empty, zero or infinite
    sample."""
    if sample.numel() == 0:
        raise TrainingDataError("the sample of activations is empty; give a longer corpus")
    # in parts, or its float64 copy is the largest array of a training
    mean_norm = float(torch.cat([part.double().norm(dim=-1) for part in sample.split(4096)]).mean())
    if not math.isfinite(mean_norm):
        raise TrainingDataError(
            f"the sample of activations has mean norm {mean_norm}; run the subject in float32, or choose another site"
        )
    if mean_norm == 0:
        raise TrainingDataError("all activations in the sample are 0; check the site and the layer")
    return math.sqrt(sample.shape[-1]) / mean_norm
