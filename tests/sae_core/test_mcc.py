"""MCC equals a brute-force search over all matchings of numpy's correlations."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sae_core.mcc import dictionary_cosine, dictionary_mcc, latent_mcc, match_features


def _normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _best_mean(similarity: np.ndarray) -> float:
    rows, columns = similarity.shape
    if rows > columns:
        return _best_mean(similarity.T)
    return max(similarity[np.arange(rows), list(order)].mean() for order in permutations(range(columns), rows))


@given(st.integers(1, 5), st.integers(1, 5), st.integers(0, 1000))
@settings(deadline=None, max_examples=60)
def test_latent_mcc_is_the_best_of_all_matchings(n_planted: int, n_found: int, seed: int) -> None:
    planted, found = _normal(20, n_planted, seed=seed), _normal(20, n_found, seed=seed + 1)
    correlations = np.abs(np.corrcoef(planted.T, found.T)[:n_planted, n_planted:])
    matching = latent_mcc(planted, found)
    assert matching.mean == pytest.approx(_best_mean(correlations))
    n_pairs = min(n_planted, n_found)
    assert matching.planted.shape == matching.found.shape == (n_pairs,)
    assert len(set(matching.planted.tolist())) == len(set(matching.found.tolist())) == n_pairs
    np.testing.assert_allclose(matching.similarity, correlations[matching.planted, matching.found])
    assert matching.greedy_mean <= matching.mean + 1e-12


def test_permutation_sign_and_scale_do_not_matter() -> None:
    planted = _normal(50, 6)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    found = planted[:, order] * torch.tensor([1.0, -2.0, 0.1, 3.0, -1.0, 7.0], dtype=torch.float64) + 5
    matching = latent_mcc(planted, found)
    assert matching.mean == pytest.approx(1.0) and matching.greedy_mean == pytest.approx(1.0)
    assert torch.equal(order[matching.found], matching.planted)


def test_greedy_takes_the_largest_first_and_can_do_worse() -> None:
    matching = match_features(np.array([[0.9, 0.8], [0.8, 0.1]]))
    assert matching.greedy_mean == pytest.approx((0.9 + 0.1) / 2)
    assert matching.mean == pytest.approx(0.8)
    assert matching.found.tolist() == [1, 0]


def test_dead_latents_have_correlation_zero_and_count() -> None:
    planted = _normal(30, 2)
    found = planted.clone()
    found[:, 1] = 0.1  # not exactly the mean of its copies in floating point
    assert latent_mcc(planted, found).mean == pytest.approx(0.5)
    assert latent_mcc(planted, torch.zeros(30, 2)).mean == 0.0


def test_dictionaries_are_compared_row_by_row() -> None:
    planted, found = _normal(4, 7), _normal(5, 7, seed=1)
    correlations = np.abs(np.corrcoef(planted, found)[:4, 4:])
    assert dictionary_mcc(planted, found).mean == pytest.approx(_best_mean(correlations))
    units = [tensor.numpy() / np.linalg.norm(tensor.numpy(), axis=1, keepdims=True) for tensor in (planted, found)]
    cosines = np.abs(units[0] @ units[1].T)
    assert dictionary_cosine(planted, found).mean == pytest.approx(_best_mean(cosines))
    # A shift of all coordinates is lost on Pearson's r and not on the cosine.
    assert dictionary_mcc(planted, planted + 3).mean == pytest.approx(1.0)
    assert dictionary_cosine(planted, planted + 3).mean < 0.99
    assert dictionary_cosine(planted, torch.zeros(4, 7)).mean == 0.0


def test_too_few_samples_and_values_that_are_not_finite_are_errors() -> None:
    with pytest.raises(ValueError, match=r"planted has shape \(1, 3\)"):
        latent_mcc(torch.zeros(1, 3), torch.zeros(1, 3))
    with pytest.raises(ValueError, match="found holds values that are not finite"):
        latent_mcc(torch.zeros(4, 3), torch.full((4, 3), float("nan")))
