"""Quality of a dictionary on held-out activations, without the language model, in constant memory."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from sae_core.device import fast_matmul
from sae_core.dictionary import Dictionary
from sae_core.errors import TrainingDataError
from sae_core.positions import is_above, is_nonzero

__all__ = ["DENSITY_BIN_EDGES", "Quality", "QualityMeter", "measure_quality"]

DENSITY_BIN_EDGES: tuple[float, ...] = tuple(-7.0 + 0.25 * i for i in range(29))
"""Bin edges of log10 density."""

ROWS_PER_CHUNK = 1024


@dataclass(frozen=True)
class Quality:
    """Quality of a dictionary over `n_tokens` activations."""

    n_tokens: int
    mse: float  # per coordinate, in the activations' units
    fvu: float  # squared error over that of the mean activation
    explained_variance: float  # 1 - fvu
    l0: float  # mean number of non-zero codes (dense coordinates: that fire)
    dead_frac: float  # share of features never active
    density: Float[Tensor, " n_features"]  # share of activations on which each feature fires
    density_histogram: tuple[int, ...]  # live features per bin of DENSITY_BIN_EDGES

    def to_json(self) -> dict[str, object]:
        """JSON-ready values without the per-feature density; not-a-number becomes None."""
        plain = {
            "n_tokens": self.n_tokens,
            "mse": self.mse,
            "fvu": self.fvu,
            "explained_variance": self.explained_variance,
            "l0": self.l0,
            "dead_frac": self.dead_frac,
        }
        cleaned = {name: value if math.isfinite(value) else None for name, value in plain.items()}
        return {**cleaned, "density_histogram": list(self.density_histogram)}


class QualityMeter:
    """Measures one dictionary batch by batch.

    A feature fires above its threshold (None: 0); reconstruction uses whole codes.
    """

    def __init__(self, dictionary: Dictionary, *, thresholds: Float[Tensor, " n_features"] | None = None) -> None:
        self.dictionary = dictionary
        device = dictionary.directions.device
        self._limit = torch.zeros((), device=device) if thresholds is None else thresholds.to(device)
        self._n_tokens, self._squared_error, self._squared_norm = 0, 0.0, 0.0
        self._total = torch.zeros(dictionary.d_in, dtype=torch.float64, device=device)
        self._n_fired, self._n_active = (
            torch.zeros(dictionary.n_features, dtype=torch.int64, device=device) for _ in range(2)
        )

    @torch.no_grad()
    def add(self, batch: Float[Tensor, "_ d_in"]) -> None:
        """Measure on a further batch. Raises WidthMismatchError."""
        dictionary, device = self.dictionary, self._limit.device
        for rows in batch.split(ROWS_PER_CHUNK):
            x = rows.to(device=device, dtype=torch.float32)
            with fast_matmul(device):
                code = dictionary.encode_dense(x)
                error = dictionary.reconstruct(x, code) - x
            wide = x.double()
            self._n_tokens += x.shape[0]
            self._squared_error += float(error.double().square().sum())
            self._squared_norm += float(wide.square().sum())
            self._total += wide.sum(dim=0)
            n_fired = _n_true(is_above(code, self._limit))
            self._n_fired += n_fired
            # A negative code reconstructs as well as a positive one, but does not fire.
            self._n_active += n_fired if dictionary.is_dense else _n_true(is_nonzero(code))

    def result(self) -> Quality:
        """The quality on all batches. Raises TrainingDataError without activations."""
        if self._n_tokens == 0:
            raise TrainingDataError("there are no activations to measure the dictionary on; give a longer corpus")
        variance = self._squared_norm - float(self._total.square().sum()) / self._n_tokens
        fvu = self._squared_error / variance if variance > 0 else math.nan
        density = (self._n_fired.double() / self._n_tokens).cpu()
        return Quality(
            n_tokens=self._n_tokens,
            mse=self._squared_error / (self._n_tokens * self.dictionary.d_in),
            fvu=fvu,
            explained_variance=1.0 - fvu,
            l0=float(self._n_active.sum()) / self._n_tokens,
            dead_frac=float((self._n_active == 0).double().mean()),
            density=density.float(),
            density_histogram=_density_histogram(density),
        )


def measure_quality(
    dictionary: Dictionary,
    batches: Iterable[Float[Tensor, "_ d_in"]],
    *,
    thresholds: Float[Tensor, " n_features"] | None = None,
) -> Quality:
    """Measure on all `batches`; see QualityMeter.

    Raises TrainingDataError without activations, WidthMismatchError.
    """
    meter = QualityMeter(dictionary, thresholds=thresholds)
    for batch in batches:
        meter.add(batch)
    return meter.result()


def _n_true(mask: Tensor) -> Tensor:
    return mask.view(torch.uint8).sum(dim=0, dtype=torch.int32)  # narrow counts are three times as fast


def _density_histogram(density: Tensor) -> tuple[int, ...]:
    edges = torch.tensor(DENSITY_BIN_EDGES, dtype=torch.float64)
    logs = density[density > 0].log10()
    # A density of 1 belongs to the last bin, one below 10^-7 to the first.
    bins = (torch.searchsorted(edges, logs, right=True) - 1).clamp(0, len(edges) - 2)
    return tuple(torch.bincount(bins, minlength=len(edges) - 1).tolist())
