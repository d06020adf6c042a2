"""Principal and independent components of a sample: fixed dictionaries with dense, signed codes."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from sae_core.architectures.projection import ProjectionDictionary
from sae_core.config import DictionaryConfig
from sae_core.errors import TrainingDataError

__all__ = ["IcaDictionary", "PcaDictionary"]

MAX_ICA_ROWS = 32_768
"""Most rows FastICA is given; a longer sample is thinned evenly."""

RANK_TOLERANCE = 1e-10
"""Variance, relative to the largest, below which a direction counts as absent."""


class _ComponentDictionary(ProjectionDictionary):
    """At most `d_in` features; without a sample, placeholders."""

    def __init__(self, config: DictionaryConfig, *, d_in: int) -> None:
        n_features = d_in if config.n_features is None else config.n_features
        if n_features > d_in:
            raise ValueError(
                f"n_features = {n_features}: activations of width {d_in} have at most {d_in} components; "
                "leave n_features out for all of them"
            )
        super().__init__(config, d_in=d_in, n_features=n_features)


class PcaDictionary(_ComponentDictionary):
    """Projections on the sample's directions of largest variance, largest first."""

    def __init__(
        self,
        config: DictionaryConfig,
        *,
        d_in: int,
        sample: Float[Tensor, "n_sample d_in"] | None = None,
    ) -> None:
        """Raises TrainingDataError for a sample too short or not finite, ValueError for more than d_in components."""
        super().__init__(config, d_in=d_in)
        if sample is None:
            return
        rows = _centred_sample(sample, n_features=self.n_features, kind="pca")
        self.b_dec.copy_(sample.double().mean(dim=0))
        self.W_dec.copy_(_with_long_tail(_principal_directions(rows)[1][: self.n_features], rows))


class IcaDictionary(_ComponentDictionary):
    """Directions with codes as independent as FastICA makes them (Hyvarinen & Oja 2000).

    A direction is a unit-norm column of the mixing matrix, a code the matching unmixing projection. Further buffer:
    W_enc [n_features, d_in], the projections.
    """

    W_enc: Tensor

    def __init__(
        self,
        config: DictionaryConfig,
        *,
        d_in: int,
        draw: torch.Generator,
        sample: Float[Tensor, "n_sample d_in"] | None = None,
    ) -> None:
        """Raises TrainingDataError for a sample too short, not finite or of too low rank, ValueError for more than d_in
        components."""
        super().__init__(config, d_in=d_in)
        self.register_buffer("W_enc", torch.eye(self.n_features, d_in))
        if sample is None:
            return
        rows = _centred_sample(sample, n_features=self.n_features, kind="ica")
        rank = int((_principal_directions(rows)[0] > 0).sum())
        if rank < self.n_features:
            raise TrainingDataError(
                f"the sample of activations extends in {rank} directions only, too few for {self.n_features} "
                f"independent components; set n_features to at most {rank}"
            )
        stride = -(-rows.shape[0] // MAX_ICA_ROWS)
        unmixing, mixing = _fast_ica(rows[::stride], n_features=self.n_features, draw=draw)
        norms = mixing.norm(dim=0)
        signed = _with_long_tail(unmixing * norms[:, None], rows)
        sign = torch.where((signed * unmixing).sum(dim=1) < 0, -1.0, 1.0)
        self.b_dec.copy_(sample.double().mean(dim=0))
        self.W_enc.copy_(signed)
        self.W_dec.copy_((mixing / norms * sign).T)

    @property
    def projections(self) -> Float[Tensor, "n_features d_in"]:
        return self.W_enc


def _centred_sample(sample: Tensor, *, n_features: int, kind: str) -> Tensor:
    n_sample = sample.shape[0]
    if n_sample <= n_features:
        raise TrainingDataError(
            f"the sample holds {n_sample} activations, too few for {n_features} components of kind {kind!r}; "
            f"give more than {n_features}, or lower n_features"
        )
    if not bool(sample.isfinite().all()):
        raise TrainingDataError("the sample of activations is not finite; run the subject in float32")
    exact = sample.double()
    return exact - exact.mean(dim=0)


def _principal_directions(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Variances (0 where the sample has no extent) and unit directions, one per row, largest first."""
    # The right singular vectors of the sample, from its covariance: [d_in, d_in] however long the sample is.
    variances, vectors = torch.linalg.eigh(rows.T @ rows / rows.shape[0])
    variances, vectors = variances.flip(0), vectors.flip(1)
    return torch.where(variances > RANK_TOLERANCE * variances[0], variances, 0.0), vectors.T


def _with_long_tail(projections: Tensor, rows: Tensor) -> Tensor:
    """Each projection, its arbitrary sign chosen so that its codes' third moment is positive."""
    third_moment = (rows @ projections.T).pow(3).sum(dim=0)
    return projections * torch.where(third_moment < 0, -1.0, 1.0)[:, None]


def _fast_ica(rows: Tensor, *, n_features: int, draw: torch.Generator) -> tuple[Tensor, Tensor]:
    """(unmixing [n_features, d_in], mixing [d_in, n_features])."""
    from sklearn.decomposition import FastICA

    seed = int(torch.randint(2**31 - 1, (1,), generator=draw))
    ica = FastICA(n_components=n_features, whiten="unit-variance", max_iter=400, tol=1e-3, random_state=seed)
    ica.fit(rows.numpy())
    return torch.from_numpy(ica.components_), torch.from_numpy(ica.mixing_)
