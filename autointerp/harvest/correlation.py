"""The MLP neuron that a feature resembles most: Pearson's r over all tokens of the explain role, in one pass."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from autointerp.harvest.firing import Firings
from autointerp.records.evidence import NeuronMatch

__all__ = ["NeuronCorrelation"]


class NeuronCorrelation:
    """Sums for the correlations of features with all neurons of one layer, in float64."""

    def __init__(self, n_features: int) -> None:
        self.n_features = n_features
        self.n_tokens = 0
        self.cross: Tensor | None = None
        self.neuron = torch.zeros(0)
        self.neuron_square = torch.zeros(0)
        self.feature = np.zeros(n_features)
        self.feature_square = np.zeros(n_features)

    def add(self, firings: Firings, neurons: Float[Tensor, "batch d_mlp"]) -> None:
        """`firings.feature` counts within the sample."""
        n = neurons.shape[0]
        # firings are in order of feature: each feature's tokens are one bag of rows
        starts = np.searchsorted(firings.feature, np.arange(self.n_features))
        cross = torch.nn.functional.embedding_bag(
            torch.from_numpy(firings.row).to(neurons.device),
            neurons,
            torch.from_numpy(starts).to(neurons.device),
            per_sample_weights=torch.from_numpy(firings.value).to(neurons),
            mode="sum",
        ).double()
        total, square = neurons.sum(dim=0).double(), neurons.square().sum(dim=0).double()
        if self.cross is None:
            self.cross, self.neuron, self.neuron_square = cross, total, square
        else:
            self.cross += cross
            self.neuron = self.neuron + total
            self.neuron_square = self.neuron_square + square
        value = firings.value.astype(np.float64)
        self.feature += np.bincount(firings.feature, weights=value, minlength=self.n_features)
        self.feature_square += np.bincount(firings.feature, weights=value**2, minlength=self.n_features)
        self.n_tokens += n

    def merge(self, other: NeuronCorrelation) -> None:
        if other.cross is None:
            return
        if self.cross is None:
            self.cross, self.neuron, self.neuron_square = other.cross, other.neuron, other.neuron_square
        else:
            self.cross = self.cross + other.cross
            self.neuron = self.neuron + other.neuron
            self.neuron_square = self.neuron_square + other.neuron_square
        self.feature += other.feature
        self.feature_square += other.feature_square
        self.n_tokens += other.n_tokens

    def best(self) -> list[NeuronMatch | None]:
        """Per feature, the neuron of highest r; None where the feature or every neuron is constant."""
        if self.cross is None:
            return [None] * self.n_features
        n = self.n_tokens
        neuron, square = self.neuron.cpu().numpy() / n, self.neuron_square.cpu().numpy() / n
        feature, feature_square = self.feature / n, self.feature_square / n
        covariance = self.cross.cpu().numpy() / n - feature[:, None] * neuron[None, :]
        variance = (feature_square - feature**2)[:, None] * (square - neuron**2)[None, :]
        # a variance of rounding errors only is none
        floor = 1e-9 * feature_square[:, None] * square[None, :]
        is_defined = variance > floor * 1e-3
        r = np.where(is_defined, covariance / np.sqrt(np.where(is_defined, variance, 1.0)), -np.inf)
        places = r.argmax(axis=1) if r.shape[1] else np.zeros(self.n_features, dtype=int)
        return [
            NeuronMatch(int(place), float(np.clip(row[place], -1.0, 1.0))) if np.isfinite(row[place]) else None
            for row, place in zip(r, places, strict=True)
        ]
