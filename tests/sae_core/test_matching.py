"""Matching of features on planted pairs, against a plain computation of all similarities."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import sparse

from sae_core import matching
from sae_core.matching import Codes, Matches, match_activations, match_directions, match_firing, match_masked_cosine

N_TOKENS, N_FIRST, N_SECOND = 400, 7, 11


@pytest.fixture(autouse=True)
def few_features_per_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matching, "FEATURES_PER_BLOCK", 3)


def planted(seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]:
    """Codes of a first dictionary, of a second that has each of them a little changed, and where it has them."""
    rng = np.random.default_rng(seed)
    first = np.maximum(rng.normal(size=(N_TOKENS, N_FIRST)) - 1.2, 0).astype(np.float32)
    second = np.maximum(rng.normal(size=(N_TOKENS, N_SECOND)) - 1.2, 0).astype(np.float32)
    places = rng.permutation(N_SECOND)[:N_FIRST]
    noise = np.maximum(rng.normal(size=first.shape) - 2.5, 0).astype(np.float32)
    second[:, places] = 3 * first + noise
    return first, second, places


def jaccard(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    return float(((a > 0) & (b > 0)).sum() / ((a > 0) | (b > 0)).sum())


def masked_cosine(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    def over(mask: NDArray[np.bool_]) -> float:
        norm = np.linalg.norm(a[mask]) * np.linalg.norm(b[mask])
        return float(a[mask] @ b[mask] / norm) if norm else 0.0

    return max(over(a > 0), over(b > 0))


def pearson(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    return float(np.corrcoef(a, b)[0, 1])


@pytest.mark.parametrize(
    ("match", "similarity"),
    [(match_activations, pearson), (match_firing, jaccard), (match_masked_cosine, masked_cosine)],
)
@pytest.mark.parametrize("is_sparse", [True, False])
def test_planted_features_are_found_each_way_and_one_to_one(
    match: Callable[..., Matches], similarity: Callable[..., float], is_sparse: bool
) -> None:
    first, second, places = planted()
    all_of = np.array([[similarity(a, b) for b in second.T] for a in first.T])
    codes: list[Codes] = [sparse.csc_array(each) if is_sparse else each for each in (first, second)]
    found = match(*codes, rng=np.random.default_rng(1), one_to_one=True)
    assert found.second.tolist() == places.tolist()
    np.testing.assert_allclose(found.similarity, all_of.max(axis=1), rtol=1e-4)
    assert found.first.tolist() == all_of.argmax(axis=0).tolist()
    np.testing.assert_allclose(found.similarity_back, all_of.max(axis=0), rtol=1e-4)
    assert found.pairs is not None and found.control is not None and found.pair_similarity is not None
    assert found.pairs.tolist() == [[i, place] for i, place in enumerate(places)]
    np.testing.assert_allclose(found.pair_similarity, found.similarity, rtol=1e-5)
    assert found.control.max() < 0.5 < found.similarity.min()


def test_directions_are_matched_by_cosine_whatever_their_length() -> None:
    rng = np.random.default_rng(2)
    first = torch.tensor(rng.normal(size=(N_FIRST, 30)))
    places = torch.tensor(rng.permutation(N_SECOND)[:N_FIRST])
    second = torch.tensor(rng.normal(size=(N_SECOND, 30)))
    second[places] = 5 * first + 0.1 * torch.tensor(rng.normal(size=(N_FIRST, 30)))
    found = match_directions(first, second, rng=rng, one_to_one=True)
    assert found.second.tolist() == places.tolist()
    assert found.first[places].tolist() == list(range(N_FIRST))
    assert found.similarity.min() > 0.99
    assert found.control is not None
    assert found.control.max() < 0.9
    expected = torch.nn.functional.cosine_similarity(first, second[places])
    np.testing.assert_allclose(found.similarity, expected.numpy(), atol=1e-9)


def test_one_to_one_gives_the_second_best_where_two_want_the_same() -> None:
    first = torch.tensor([[1.0, 0.0, 0.0], [1.0, 0.2, 0.0]])
    second = torch.tensor([[1.0, 0.0, 0.0], [1.0, 0.0, 0.5]])
    found = match_directions(first, second, one_to_one=True)
    assert found.second.tolist() == [0, 0]
    assert found.pairs is not None
    assert sorted(found.pairs[:, 1].tolist()) == [0, 1]
    assert found.control is None


@pytest.mark.parametrize("match", [match_activations, match_firing, match_masked_cosine])
def test_a_feature_that_never_fires_is_like_none(match: Callable[..., Matches]) -> None:
    first, second, _ = planted()
    first[:, 2] = 0.0
    found = match(sparse.csc_array(first), sparse.csc_array(second))
    assert found.similarity[2] == 0.0
    assert found.similarity[1] > 0.5


def test_a_constant_feature_correlates_with_none() -> None:
    first, second, _ = planted()
    first[:, 2] = 0.7
    assert match_activations(first, second).similarity[2] == 0.0


def test_sides_that_do_not_fit_are_refused() -> None:
    first, second, _ = planted()
    with pytest.raises(ValueError, match="codes of 399 tokens"):
        match_activations(first[1:], second)
    with pytest.raises(ValueError, match="each side needs one"):
        match_directions(torch.ones(0, 3), torch.ones(2, 3))
