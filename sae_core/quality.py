"""Quality of a dictionary on held-out activations, without the language model, in constant memory."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from sae_core.device import fast_matmul
from sae_core.dictionary import Dictionary
from sae_core.errors import TrainingDataError
from sae_core.jackknife import jackknife_interval
from sae_core.positions import is_above, is_nonzero
from sae_core.ultralow import DENSITY_BIN_EDGES, density_histogram

__all__ = ["DENSITY_BIN_EDGES", "Quality", "QualityMeter", "measure_quality"]

ROWS_PER_CHUNK = 1024

N_GROUPS = 64
"""Groups of chunks, left out one at a time for the intervals; chunk i belongs to group i modulo N_GROUPS."""

NEVER, SEVERAL = -1, -2

Interval = tuple[float, float]


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
    intervals: Mapping[str, Interval]  # 95%, of fvu, l0 and dead_frac, by jackknife; none for under two groups

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
        intervals = {name: list(interval) for name, interval in self.intervals.items()}
        return {**cleaned, "density_histogram": list(self.density_histogram), "intervals": intervals}


class QualityMeter:
    """Measures one dictionary batch by batch.

    A feature fires above its threshold (None: 0); reconstruction uses whole codes. A transcoder's output is held
    against the `targets` of each batch; of a cross-layer one fvu and mse are not a number.
    """

    def __init__(self, dictionary: Dictionary, *, thresholds: Float[Tensor, " n_features"] | None = None) -> None:
        self.dictionary = dictionary
        device = dictionary.directions.device
        self._limit = torch.zeros((), device=device) if thresholds is None else thresholds.to(device)
        kind = type(dictionary)
        # as sparse codes, half of the products are spared
        self._is_sparse = (
            kind.forward is Dictionary.forward
            and kind.encode is not Dictionary.encode
            and not dictionary.is_dense
            and not bool(self._limit.any())
        )
        self._n_chunks = 0
        # by group: activations, squared error, squared norm, active codes, and the sum of the activations
        self._sums = np.zeros((N_GROUPS, 4 + dictionary.directions.shape[1]))
        self._n_fired, self._n_active = (
            torch.zeros(dictionary.n_features, dtype=torch.int64, device=device) for _ in range(2)
        )
        # by feature, the only group it is active in
        self._only = torch.full((dictionary.n_features,), NEVER, dtype=torch.int64, device=device)

    @torch.no_grad()
    def add(self, batch: Float[Tensor, "_ d_in"], targets: Float[Tensor, "_ d_out"] | None = None) -> None:
        """Measure on a further batch; `targets` stand where a transcoder writes. Raises WidthMismatchError."""
        if self.dictionary.is_transcoder and targets is None:
            raise ValueError("a transcoder is measured against the activations where it writes: give them as targets")
        device = self._limit.device
        aims = batch if targets is None else targets
        for rows, aimed in zip(batch.split(ROWS_PER_CHUNK), aims.split(ROWS_PER_CHUNK), strict=True):
            x = rows.to(device=device, dtype=torch.float32)
            y = x if targets is None else aimed.to(x)
            with fast_matmul(device):
                reconstruction, n_fired, n_active = self._counted(x)
            group, wide = self._n_chunks % N_GROUPS, y.double()
            self._n_chunks += 1
            is_partial = self.dictionary.is_cross_layer
            error = math.nan if is_partial else float((reconstruction - y).double().square().sum())
            counts = (x.shape[0], error, float(wide.square().sum()), int(n_active.sum()))
            self._sums[group] += np.concatenate([counts, wide.sum(dim=0).cpu().numpy()])
            self._n_fired += n_fired
            self._n_active += n_active
            is_elsewhere = (self._only != NEVER) & (self._only != group)
            self._only[n_active > 0] = group
            self._only[(n_active > 0) & is_elsewhere] = SEVERAL

    def _counted(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(reconstruction, how often each feature fires, how often each is active) on a chunk."""
        dictionary = self.dictionary
        if self._is_sparse:
            sparse = dictionary.encode(x)
            is_fired, is_active = sparse.values > 0, is_nonzero(sparse.values)
            n_fired, n_active = (
                torch.bincount(sparse.indices[mask], minlength=dictionary.n_features) for mask in (is_fired, is_active)
            )
            return dictionary.decode(sparse), n_fired, n_active
        code = dictionary.encode_dense(x)
        n_fired = _n_true(is_above(code, self._limit))
        # A negative code reconstructs as well as a positive one, but does not fire.
        n_active = n_fired if dictionary.is_dense else _n_true(is_nonzero(code))
        return dictionary.reconstruct(x, code), n_fired, n_active

    def result(self) -> Quality:
        """The quality on all batches. Raises TrainingDataError without activations."""
        whole = self._sums.sum(axis=0)
        n_tokens, n_features = int(whole[0]), self.dictionary.n_features
        if n_tokens == 0:
            raise TrainingDataError("there are no activations to measure the dictionary on; give a longer corpus")
        n_dead = int((self._n_active == 0).sum())
        figures = _figures(whole, n_dead=n_dead, n_features=n_features)
        # what is active in one group only would be dead without it
        n_only = torch.bincount(self._only[self._only >= 0], minlength=N_GROUPS).cpu().numpy() + n_dead
        used = np.flatnonzero(self._sums[:, 0])
        without = [_figures(whole - self._sums[i], n_dead=int(n_only[i]), n_features=n_features) for i in used]
        intervals = {
            name: jackknife_interval(figure, [each[name] for each in without]) for name, figure in figures.items()
        }
        density = (self._n_fired.double() / n_tokens).cpu()
        return Quality(
            n_tokens=n_tokens,
            mse=float(whole[1]) / (n_tokens * (len(whole) - 4)),
            **figures,
            explained_variance=1.0 - figures["fvu"],
            density=density.float(),
            density_histogram=density_histogram(density),
            intervals={name: interval for name, interval in intervals.items() if interval is not None},
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


def _figures(sums: np.ndarray, *, n_dead: int, n_features: int) -> dict[str, float]:
    n_tokens, error, norm, n_codes = sums[:4]
    if n_tokens == 0:
        return dict.fromkeys(("fvu", "l0", "dead_frac"), math.nan)
    variance = norm - np.square(sums[4:]).sum() / n_tokens
    fvu = error / variance if variance > 0 else math.nan
    return {"fvu": float(fvu), "l0": float(n_codes / n_tokens), "dead_frac": n_dead / n_features}


def _n_true(mask: Tensor) -> Tensor:
    return mask.view(torch.uint8).sum(dim=0, dtype=torch.int32)  # narrow counts are three times as fast
