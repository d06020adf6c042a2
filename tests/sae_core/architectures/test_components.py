"""PCA and ICA as fixed dictionaries: scikit-learn's components, known sources, stated signs, clear errors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from sae_core.build import build_dictionary
from sae_core.checkpoint import load_dictionary, save_dictionary
from sae_core.config import DictionaryConfig
from sae_core.dictionary import Dictionary
from sae_core.errors import TrainingDataError, WidthMismatchError
from sae_core.firing import fit_thresholds

DRAW = torch.Generator().manual_seed(0)
MIXING = torch.randn(6, 6, generator=DRAW)
SOURCES = -torch.rand(4000, 6, generator=DRAW).log()
"""Skewed: their long tails lie on the positive side."""
X = SOURCES @ MIXING + 5


def _build(kind: str, n_features: int | None = None, sample: torch.Tensor | None = X) -> Dictionary:
    config = DictionaryConfig(kind=kind, n_features=n_features)  # pyright: ignore[reportArgumentType]
    return build_dictionary(config, d_in=6, seed=0, sample=sample)


@pytest.mark.parametrize("kind", ["pca", "ica"])
def test_all_components_reconstruct_exactly(kind: str) -> None:
    dictionary = _build(kind)
    assert dictionary.is_signed and dictionary.n_features == 6
    assert dictionary.config.n_features == 6
    torch.testing.assert_close(dictionary.directions.norm(dim=1), torch.ones(6))
    torch.testing.assert_close(dictionary.offset, X.mean(dim=0))
    torch.testing.assert_close(dictionary.decode_dense(dictionary.encode_dense(X)), X, atol=1e-3, rtol=0)
    torch.testing.assert_close(dictionary.encode_dense(X).mean(dim=0), torch.zeros(6), atol=1e-3, rtol=0)


def test_principal_components_are_those_of_scikit_learn() -> None:
    wanted = PCA(n_components=3).fit(X.double().numpy())
    dictionary = _build("pca", 3)
    cosines = np.abs((dictionary.directions.double().numpy() * wanted.components_).sum(axis=1))
    np.testing.assert_allclose(cosines, 1.0, atol=1e-6)
    codes = np.abs(dictionary.encode_dense(X).double().numpy())
    np.testing.assert_allclose(codes, np.abs(wanted.transform(X.double().numpy())), atol=1e-3)
    variances = dictionary.encode_dense(X).var(dim=0)
    assert bool((variances[:-1] >= variances[1:]).all())


def test_independent_components_are_the_planted_sources() -> None:
    dictionary = _build("ica")
    codes = dictionary.encode_dense(X)
    correlations = torch.corrcoef(torch.cat([codes, SOURCES], dim=1).T)[:6, 6:]
    # Signed: each source is found with its long tail on the positive side.
    assert float(correlations.max(dim=0).values.min()) > 0.98
    cosines = dictionary.directions @ torch.nn.functional.normalize(MIXING, dim=1).T
    assert float(cosines.max(dim=0).values.min()) > 0.97
    few = _build("ica", 2)
    assert few.encode_dense(X).shape == (4000, 2)
    np.testing.assert_allclose(np.cov(few.encode_dense(X).numpy().T)[0, 1], 0.0, atol=1e-2)


@pytest.mark.parametrize("kind", ["pca", "ica"])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_long_tail_is_on_the_side_that_fires(kind: str, sign: float) -> None:
    sample = X * sign
    dictionary = _build(kind, sample=sample)
    codes = dictionary.encode_dense(sample).double()
    assert bool((codes.pow(3).mean(dim=0) > 0).all())
    thresholds = fit_thresholds(dictionary, sample, target_density=0.01)
    assert bool((thresholds > 0).all())


@pytest.mark.parametrize("kind", ["pca", "ica"])
def test_equal_seeds_give_equal_dictionaries_and_files_bring_them_back(kind: str, tmp_path: Path) -> None:
    first, second = _build(kind, 4), _build(kind, 4)
    assert torch.equal(first.directions, second.directions)
    loaded = load_dictionary(save_dictionary(first, tmp_path / kind))
    assert loaded.config == first.config and loaded.is_signed
    assert torch.equal(loaded.encode_dense(X), first.encode_dense(X))
    some = torch.tensor([2, 0])
    torch.testing.assert_close(loaded.encode_features(X, some), first.encode_dense(X)[:, some])


@pytest.mark.parametrize("kind", ["pca", "ica"])
def test_errors_say_what_is_wrong_with_the_sample(kind: str) -> None:
    with pytest.raises(TrainingDataError, match=f"kind '{kind}' is fitted to activations"):
        _build(kind, sample=None)
    with pytest.raises(TrainingDataError, match=r"holds 6 activations, too few for 6 components"):
        _build(kind, sample=X[:6])
    with pytest.raises(ValueError, match=r"n_features = 7.*at most 6 components"):
        _build(kind, 7)
    with pytest.raises(WidthMismatchError, match=r"5 wide.*width 6"):
        _build(kind).encode_dense(X[:, :5])


def test_a_flat_sample_has_too_few_independent_components() -> None:
    flat = X.clone()
    flat[:, 5] = flat[:, 4]
    with pytest.raises(TrainingDataError, match=r"extends in 5 directions only.*at most 5"):
        _build("ica", sample=flat)
    assert _build("pca", sample=flat).encode_dense(flat)[:, 5].abs().max() < 1e-3
