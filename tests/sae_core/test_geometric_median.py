"""The geometric median is where a brute-force search finds the smallest summed distance."""

from __future__ import annotations

import numpy as np
import torch
from scipy.optimize import minimize

from sae_core.geometric_median import geometric_median


def test_equals_brute_force_on_skewed_points() -> None:
    points = torch.randn(60, 3, generator=torch.Generator().manual_seed(0)).exp()
    points[:5] += 50  # outliers that drag the mean
    array = points.double().numpy()
    best = minimize(
        lambda c: np.linalg.norm(array - c, axis=1).sum(),
        np.median(array, axis=0),
        method="Nelder-Mead",
        options={"xatol": 1e-9, "fatol": 1e-12, "maxiter": 20_000},
    ).x
    found = geometric_median(points)
    np.testing.assert_allclose(found.numpy(), best, rtol=1e-4)
    assert float((found - points.mean(0)).norm()) > 1


def test_a_point_that_is_the_median_does_not_break_the_iteration() -> None:
    points = torch.tensor([[0.0, 0.0], [1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    torch.testing.assert_close(geometric_median(points), torch.zeros(2))


def test_equal_points_are_their_own_median() -> None:
    torch.testing.assert_close(geometric_median(torch.full((4, 3), 2.5)), torch.full((3,), 2.5))
