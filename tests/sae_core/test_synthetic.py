"""Planted activations are what their codes say, and codes follow the laws that the configuration names."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from sae_core.synthetic import (
    PlantedDictionary,
    SyntheticConfig,
    draw_codes,
    draw_problem,
    mean_max_cosine,
    stack_problems,
)


def _codes(n_samples: int = 20_000, seed: int = 0, **fields: Any) -> torch.Tensor:
    return draw_codes(SyntheticConfig(**fields), n_samples=n_samples, draw=torch.Generator().manual_seed(seed))


def test_codes_are_k_sparse_and_activations_linear() -> None:
    planted = PlantedDictionary.draw(n_features=12, d_in=5, k=3, seed=0, scale=2.0, offset_norm=4.0)
    codes = planted.codes(50, seed=1)
    assert (codes > 0).sum(dim=1).tolist() == [3] * 50 and not (codes < 0).any()
    torch.testing.assert_close(planted.directions.norm(dim=1), torch.ones(12))
    assert float(planted.offset.norm()) == pytest.approx(4.0)
    torch.testing.assert_close(planted.activations(codes), planted.offset + 2 * codes @ planted.directions)
    batches = list(planted.iter_batches(3, batch_tokens=4, seed=1))
    assert len(batches) == 3 and not torch.equal(batches[0], batches[1])


def test_mean_max_cosine_knows_permutations_and_scale() -> None:
    planted = torch.eye(4)
    assert mean_max_cosine(3 * planted[[2, 0, 3, 1]], planted) == pytest.approx(1.0)
    assert mean_max_cosine(planted[:2], planted) == pytest.approx(0.5)


def test_defaults_are_the_papers_base_setting() -> None:
    problem = draw_problem(SyntheticConfig(), seed=0)
    assert problem.dictionary.shape == (16, 8)
    assert problem.train_codes.shape == problem.test_codes.shape == (1024, 16)
    assert problem.train_x.shape == problem.test_x.shape == (1024, 8)
    torch.testing.assert_close(problem.dictionary.norm(dim=1), torch.ones(16))
    for codes, x in ((problem.train_codes, problem.train_x), (problem.test_codes, problem.test_x)):
        assert ((codes > 0).sum(dim=1) == 3).all() and (codes >= 0).all()
        torch.testing.assert_close(x, codes @ problem.dictionary)
    assert not torch.equal(problem.train_codes, problem.test_codes)


def test_seeds_decide_everything_and_stacking_changes_nothing() -> None:
    config = SyntheticConfig(n_features=6, d_in=4, k=2, noise_std=0.1, n_train=10, n_test=5)
    for again, first in zip(draw_problem(config, seed=3), draw_problem(config, seed=3), strict=True):
        assert torch.equal(again, first)
    stacked = stack_problems(config, [3, 9])
    assert stacked.test_x.shape == (2, 5, 4)
    for together, alone in zip(stacked, draw_problem(config, seed=9), strict=True):
        assert torch.equal(together[1], alone) and not torch.equal(together[0], alone)
    # More training samples leave the dictionary and the test samples alone.
    more = draw_problem(SyntheticConfig(n_features=6, d_in=4, k=2, noise_std=0.1, n_train=20, n_test=5), seed=9)
    assert torch.equal(more.dictionary, stacked.dictionary[1]) and torch.equal(more.test_x, stacked.test_x[1])


@pytest.mark.parametrize(
    ("law", "distribution"),
    [
        ("half_normal", stats.halfnorm()),
        ("normal", stats.norm()),
        ("exponential", stats.expon()),
        ("uniform", stats.uniform()),
    ],
)
def test_active_codes_follow_their_law(law: str, distribution: Any) -> None:
    codes = _codes(3000, code_values=law)
    assert stats.kstest(codes[codes != 0].numpy(), distribution.cdf).pvalue > 1e-3


def test_constant_codes_are_one_and_noise_has_its_size() -> None:
    assert set(_codes(100, code_values="constant").unique().tolist()) == {0.0, 1.0}
    problem = draw_problem(SyntheticConfig(noise_std=0.5, n_train=5000), seed=0)
    noise = problem.train_x - problem.train_codes @ problem.dictionary
    assert float(noise.std()) == pytest.approx(0.5, rel=0.03)
    assert abs(float(np.corrcoef(noise.T)[0, 1])) < 0.06


def test_bernoulli_activity_has_mean_k_and_varies() -> None:
    n_active = (_codes(activity="bernoulli") > 0).sum(dim=1).double()
    assert float(n_active.mean()) == pytest.approx(3, abs=0.05)
    assert float(n_active.var()) == pytest.approx(16 * 3 / 16 * 13 / 16, rel=0.05)


def test_importance_scales_amplitudes_or_frequencies_as_asked() -> None:
    wanted = torch.arange(1, 17) ** -1.0
    amplitude = _codes(importance_exponent=1.0)
    sizes = amplitude.sum(dim=0) / (amplitude > 0).sum(dim=0)
    torch.testing.assert_close(sizes / sizes[0], wanted, rtol=0.08, atol=0)
    assert float((sizes / stats.halfnorm().mean()).mean()) == pytest.approx(1, abs=0.02)
    torch.testing.assert_close((amplitude > 0).float().mean(dim=0), torch.full((16,), 3 / 16), rtol=0.1, atol=0)

    frequency = _codes(importance_exponent=1.0, importance_affects="frequency", activity="bernoulli", k=2)
    shares = (frequency > 0).float().mean(dim=0)
    torch.testing.assert_close(shares, 2 * wanted / wanted.sum(), rtol=0.15, atol=0)
    sizes = frequency.sum(dim=0) / (frequency > 0).sum(dim=0)
    torch.testing.assert_close(sizes, torch.full((16,), stats.halfnorm().mean()), rtol=0.15, atol=0)

    both = _codes(importance_exponent=1.0, importance_affects="both")
    assert ((both > 0).sum(dim=1) == 3).all()
    assert (both > 0).float().mean(dim=0)[0] > 4 * (both > 0).float().mean(dim=0)[-1]
    assert both[:, 0].max() > 4 * both[:, -1].max()


def test_exact_draws_have_the_chances_of_drawing_without_replacement() -> None:
    """k = 1: chances are proportional to the importance; k = 2: checked against the sum over orders."""
    weights = np.arange(1, 5) ** -1.0
    shares = weights / weights.sum()
    fields: dict[str, Any] = {"n_features": 4, "importance_exponent": 1.0, "importance_affects": "frequency"}
    one = (_codes(40_000, k=1, **fields) > 0).double().mean(dim=0).numpy()
    np.testing.assert_allclose(one, shares, atol=0.01)
    two = (_codes(40_000, k=2, **fields) > 0).double().mean(dim=0).numpy()
    second = [sum(shares[j] * shares[i] / (1 - shares[j]) for j in range(4) if j != i) for i in range(4)]
    np.testing.assert_allclose(two, shares + second, atol=0.01)


@pytest.mark.parametrize("activity", ["exact", "bernoulli"])
def test_correlated_sources_fire_together_within_blocks_only(activity: str) -> None:
    codes = _codes(activity=activity, correlation=0.8, correlation_block=3)
    is_active = (codes > 0).double()
    torch.testing.assert_close(is_active.mean(dim=0), torch.full((16,), 3 / 16, dtype=torch.float64), rtol=0.1, atol=0)
    together = torch.corrcoef(is_active.T)
    same_block = torch.arange(16)[:, None] // 3 == torch.arange(16) // 3
    off_diagonal = ~torch.eye(16, dtype=torch.bool)
    assert together[same_block & off_diagonal].min() > 0.3
    assert together[~same_block].max() < 0.05
    independent = torch.corrcoef((_codes(activity=activity) > 0).double().T)
    assert independent[off_diagonal].max() < 0.05


def test_copula_gives_the_joint_probability_of_the_bivariate_normal() -> None:
    codes = _codes(60_000, activity="bernoulli", correlation=0.5, correlation_block=2, n_features=4, k=1)
    both = float(((codes[:, 0] > 0) & (codes[:, 1] > 0)).double().mean())
    threshold = stats.norm.ppf(0.25)
    wanted = stats.multivariate_normal.cdf([threshold, threshold], cov=np.array([[1, 0.5], [0.5, 1]]))  # pyright: ignore
    assert both == pytest.approx(wanted, abs=0.006)


@given(
    st.integers(2, 12),
    st.integers(1, 6),
    st.integers(0, 6),
    st.sampled_from(["exact", "bernoulli"]),
    st.integers(0, 99),
)
@settings(deadline=None, max_examples=40)
def test_children_are_active_only_with_their_parents(
    n_features: int, k: int, n_parents: int, activity: str, seed: int
) -> None:
    k, n_parents = min(k, n_features), min(n_parents, n_features - 1)
    is_active = _codes(50, seed=seed, n_features=n_features, k=k, n_parents=n_parents, activity=activity) > 0
    if activity == "exact":
        assert (is_active.sum(dim=1) == k).all()
    for child in range(n_parents, n_features) if n_parents else ():
        assert not (is_active[:, child] & ~is_active[:, child % n_parents]).any()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"k": 17}, r"k = 17: must be at most n_features = 16"),
        ({"k": 0}, r"k = 0: must be at least 1"),
        ({"d_in": 0}, r"d_in = 0"),
        ({"noise_std": -1.0}, r"noise_std = -1.0: must be 0 or more"),
        ({"importance_exponent": -0.1}, r"importance_exponent = -0.1"),
        ({"correlation": 1.0}, r"correlation = 1.0: must be at least 0 and below 1"),
        ({"n_parents": 16}, r"n_parents = 16: must be at least 0 and below n_features = 16"),
    ],
)
def test_errors_name_the_field(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SyntheticConfig(**fields)


@pytest.mark.parametrize("field", ["activity", "code_values", "importance_affects"])
def test_unknown_words_list_what_is_known(field: str) -> None:
    config = SyntheticConfig()
    known = getattr(config, field)
    # Set from behind: the shape checker of the test run would refuse the wrong literal before we can.
    object.__setattr__(config, field, "cauchy")
    with pytest.raises(ValueError, match=rf"^{field} = 'cauchy': must be one of .*'{known}'"):
        config.__post_init__()


def test_no_seeds_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"seeds = \(\)"):
        stack_problems(SyntheticConfig(), [])
