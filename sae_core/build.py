"""From a configuration to a dictionary: one table of kinds.

Takes a configuration, the input width, a seed and a sample of activations. A new family is one file under
architectures and one line here. Knows nothing of training or files.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from sae_core.architectures.fixed import IdentityDictionary, RandomDictionary
from sae_core.architectures.mlp import MlpDictionary
from sae_core.architectures.relu import ReluDictionary
from sae_core.architectures.topk import TopKDictionary
from sae_core.config import DictionaryConfig
from sae_core.dictionary import Dictionary
from sae_core.errors import TrainingDataError, WidthMismatchError
from sae_core.randomness import generator
from sae_core.trainable import TrainableDictionary

__all__ = ["FAMILIES", "build_dictionary", "fit_input_scale"]

Factory = Callable[[DictionaryConfig, int, torch.Generator, "Tensor | None"], Dictionary]

FAMILIES: dict[str, Factory] = {
    "relu": lambda config, d_in, draw, sample: ReluDictionary(config, d_in=d_in, draw=draw, sample=sample),
    "topk": lambda config, d_in, draw, sample: TopKDictionary(config, d_in=d_in, draw=draw, sample=sample),
    "mlp": lambda config, d_in, draw, sample: MlpDictionary(config, d_in=d_in, draw=draw, sample=sample),
    "identity": lambda config, d_in, draw, sample: IdentityDictionary(config, d_in=d_in),
    "random": lambda config, d_in, draw, sample: RandomDictionary(config, d_in=d_in, draw=draw, sample=sample),
}


def build_dictionary(
    config: DictionaryConfig,
    *,
    d_in: int,
    seed: int,
    sample: Float[Tensor, "n_sample d_in"] | None = None,
    normalise_inputs: bool = True,
) -> Dictionary:
    """A fresh dictionary on the CPU in float32.

    `sample` sets the decoder bias (geometric median) and `input_scale`; without it they stay at 0 and 1. Raises
    TrainingDataError when the sample is empty, zero or not finite, WidthMismatchError when it has another width.
    """
    rows = None if sample is None else sample.detach().to(device="cpu", dtype=torch.float32)
    if rows is not None and rows.shape[-1] != d_in:
        raise WidthMismatchError(
            f"the sample of activations is {rows.shape[-1]} wide, but the dictionary is to be {d_in} wide; "
            "take the sample from the site the dictionary is for"
        )
    scale = 1.0 if rows is None else fit_input_scale(rows)
    dictionary = FAMILIES[config.kind](config, d_in, generator(seed, "build", config.kind), rows)
    if isinstance(dictionary, TrainableDictionary) and normalise_inputs:
        dictionary.input_scale.fill_(scale)
        dictionary.is_scale_fitted = True
    return dictionary


def fit_input_scale(sample: Float[Tensor, "n_sample d_in"]) -> float:
    """The factor by which the sample's mean norm becomes sqrt(d_in).

    Raises TrainingDataError when the sample is empty, all zero, or not finite.
    """
    if sample.numel() == 0:
        raise TrainingDataError("the sample of activations is empty; give a longer corpus")
    mean_norm = float(sample.double().norm(dim=-1).mean())
    if not math.isfinite(mean_norm):
        raise TrainingDataError(
            f"the sample of activations has mean norm {mean_norm}; run the subject in float32, or choose another site"
        )
    if mean_norm == 0:
        raise TrainingDataError("all activations in the sample are 0; check the site and the layer")
    return math.sqrt(sample.shape[-1]) / mean_norm
