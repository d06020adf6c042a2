"""The MLP neuron that a feature resembles most: Pearson's r over all tokens of the explain role, in one pass."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from autointerp.harvest.exact_sum import ExactSum
from autointerp.harvest.firing import Firings
from autointerp.records.evidence import NeuronMatch

__all__ = ["NeuronCorrelation"]


class NeuronCorrelation:
    """Sums for the correlations of features with all neurons of one layer; parts of a stream merge exactly."""

    def __init__(self, n_features: int, *, high: np.ndarray | None = None) -> None:
        """`high`: [n_features] the scale of each feature, for the sums' precision."""
        self.n_features = n_features
        self.n_tokens = 0
        # powers of two, of which correlations do not depend
        self._exponent = np.zeros(n_features, np.int32) if high is None else np.frexp(high)[1].astype(np.int32)
        self._cross = ExactSum()
        self._neuron, self._neuron_square = ExactSum(), ExactSum()
        self._feature, self._feature_square = ExactSum(), ExactSum()

    def add(self, firings: Firings, neurons: Float[Tensor, "batch d_mlp"]) -> None:
        """`firings.feature` counts within the sample."""
        # firings are in order of feature: each feature's tokens are one bag of rows
        starts = np.searchsorted(firings.feature, np.arange(self.n_features))
        value = np.ldexp(firings.value, -self._exponent[firings.feature])
        cross = torch.nn.functional.embedding_bag(
            torch.from_numpy(firings.row).to(neurons.device),
            neurons,
            torch.from_numpy(starts).to(neurons.device),
            per_sample_weights=torch.from_numpy(value).to(neurons),
            mode="sum",
        )
        self._cross.add(cross.double())
        self._neuron.add(neurons.sum(dim=0).double())
        self._neuron_square.add(neurons.square().sum(dim=0).double())
        precise = value.astype(np.float64)
        self._feature.add(np.bincount(firings.feature, weights=precise, minlength=self.n_features))
        self._feature_square.add(np.bincount(firings.feature, weights=precise**2, minlength=self.n_features))
        self.n_tokens += neurons.shape[0]

    def to_host(self) -> None:
        """Bring the sums to the processor's memory, once nothing is added any more."""
        for each in self._sums:
            each.apply(lambda part: part.cpu().numpy() if isinstance(part, Tensor) else part)

    def merge(self, other: NeuronCorrelation) -> None:
        """Both on the processor."""
        self.n_tokens += other.n_tokens
        for mine, theirs in zip(self._sums, other._sums, strict=True):
            mine.merge(theirs)

    def best(self) -> list[NeuronMatch | None]:
        """Per feature, the neuron of highest r; None where the feature or every neuron is constant."""
        if not self.n_tokens:
            return [None] * self.n_features
        self.to_host()
        cross, neuron, square, feature, feature_square = (each.total / self.n_tokens for each in self._sums)
        covariance = cross - feature[:, None] * neuron[None, :]
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

    @property
    def _sums(self) -> tuple[ExactSum, ...]:
        return self._cross, self._neuron, self._neuron_square, self._feature, self._feature_square
