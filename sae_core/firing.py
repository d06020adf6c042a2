"""The value above which a dense or signed coordinate counts as firing."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from sae_core.device import fast_matmul, is_on_host
from sae_core.dictionary import Dictionary
from sae_core.errors import TrainingDataError
from sae_core.randomness import generator

__all__ = ["draw_densities", "firing_densities", "fit_thresholds", "live_densities"]

ROWS_PER_CHUNK = 1024


@torch.no_grad()
def firing_densities(dictionary: Dictionary, sample: Float[Tensor, "n_sample d_in"]) -> Float[Tensor, " n_features"]:
    """Share of the sample with a code above 0, per feature. Raises WidthMismatchError."""
    device = dictionary.directions.device
    n_fired = torch.zeros(dictionary.n_features, dtype=torch.int64, device=device)
    with fast_matmul(device):
        for rows in sample.split(ROWS_PER_CHUNK):
            n_fired += (dictionary.encode_dense(rows.to(device, torch.float32)) > 0).sum(dim=0)
    return (n_fired.double() / sample.shape[0]).float()


def live_densities(
    density: Float[Tensor, " n_features"], *, min_density: float = 0.0, max_density: float = 1.0
) -> Float[Tensor, " n_live"]:
    return density[(density > min_density) & (density <= max_density)]


def draw_densities(live: Float[Tensor, " n_live"], *, n_features: int, seed: int) -> Float[Tensor, " n_features"]:
    """A target density per feature, drawn from a trained dictionary's live ones.

    Each is used equally often (up to one). Raises TrainingDataError if none is live.
    """
    if live.numel() == 0:
        raise TrainingDataError(
            "no feature of the trained dictionary fires, so there is no density to match; "
            "train longer, lower l1_weight, or state a density"
        )
    draw = generator(seed, "densities")
    n_rounds = -(-n_features // live.numel())
    picks = torch.cat([torch.randperm(live.numel(), generator=draw) for _ in range(n_rounds)])
    return live[picks[:n_features]]


@torch.no_grad()
def fit_thresholds(
    dictionary: Dictionary,
    sample: Float[Tensor, "n_sample d_in"],
    *,
    target_density: Float[Tensor, " n_features"] | float,
    features_per_chunk: int = 256,
) -> Float[Tensor, " n_features"]:
    """The value exceeded by a share `target_density` of the sample (at least one activation), per feature.

    If many values tie (a ReLU neuron's zeros) the density falls short. Memory: n_sample x features_per_chunk values.
    Raises TrainingDataError for fewer than two activations, ValueError for a density outside [0, 1],
    WidthMismatchError.
    """
    dictionary.check_width(sample)
    n_sample = sample.shape[0]
    if n_sample < 2:
        raise TrainingDataError(
            f"the sample holds {n_sample} activations, too few to fit thresholds; lengthen the corpus"
        )
    densities = torch.as_tensor(target_density, dtype=torch.float64).expand(dictionary.n_features)
    if bool(((densities < 0) | (densities > 1)).any()):
        raise ValueError("target_density must lie between 0 and 1")
    device = dictionary.directions.device
    # The threshold is the (n_above + 1)-th largest value, so that exactly n_above lie strictly above it.
    n_above = (densities * n_sample).round().long().clamp(1, n_sample - 1).to(device)
    x = sample.to(device=device, dtype=torch.float32)
    thresholds = torch.empty(dictionary.n_features, device=device)
    for features in torch.arange(dictionary.n_features, device=device).split(features_per_chunk):
        thresholds[features] = _exceeded_by(dictionary.encode_features(x, features), n_above[features])
    return thresholds


def _exceeded_by(values: Float[Tensor, "n_sample chosen"], n_above: Int[Tensor, " chosen"]) -> Float[Tensor, " chosen"]:
    columns = values.float().T.clone(memory_format=torch.contiguous_format)
    if not is_on_host(columns):
        return columns.sort(dim=1, descending=True).values.gather(1, n_above[:, None])[:, 0]
    # On a CPU finding one place of the order takes a sixth of sorting, and no second copy.
    ordered = columns.numpy()
    place = values.shape[0] - 1 - n_above.numpy()
    for column, at in zip(ordered, place, strict=True):
        column.partition(at)
    return torch.from_numpy(ordered[np.arange(len(ordered)), place])
