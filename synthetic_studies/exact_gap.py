"""The amortisation gap where it can be computed: three directions in the plane, by quadrature.

Directions at 120 degrees, codes |normal|. Each point of the plane is of one pair of them (K = 2), so that the codes are
known from the measurement; but a code's slope differs between its two pairs, and one rectified line has one slope.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

__all__ = ["Plane", "best_rectified_line", "missed_share", "plane_of", "two_layer_code"]

N_ANGLES, N_RADII = 120, 40

Encoder = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""From measurements [n, 2] to the code [n] of the first direction."""


class Plane(NamedTuple):
    """Nodes: directions [n_features, 2], measurements [n, 2], codes [n, n_features], and weights [n] that sum to 1."""

    directions: NDArray[np.float64]
    x: NDArray[np.float64]
    codes: NDArray[np.float64]
    weight: NDArray[np.float64]


def plane_of(n_features: int, *, k: int) -> Plane:
    """`n_features` directions evenly around the circle, and codes of which every set of k (1 or 2) is as likely."""
    angles = 2 * math.pi * np.arange(n_features) / n_features
    directions = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    sets = [(i,) for i in range(n_features)] if k == 1 else list(zip(*np.triu_indices(n_features, 1), strict=True))
    values, weight = _one() if k == 1 else _pair()
    codes = np.zeros((len(sets), len(values), n_features))
    for place, chosen in enumerate(sets):
        codes[place][:, list(chosen)] = values
    codes = codes.reshape(-1, n_features)
    return Plane(directions, codes @ directions, codes, np.tile(weight / len(sets), len(sets)))


def missed_share(plane: Plane, found: NDArray[np.float64]) -> float:
    """Share of the first code's mean square that an estimate [n] misses."""
    true = plane.codes[:, 0]
    return float(plane.weight @ (true - found) ** 2 / (plane.weight @ true**2))


def best_rectified_line(plane: Plane) -> tuple[float, Encoder]:
    """The least share that a linear-nonlinear encoder ReLU(w x + b) misses of the first code, and that encoder.

    The best of Nelder and Mead's searches from lines in all directions.
    """

    def missed(parameters: NDArray[np.float64]) -> float:
        return missed_share(plane, np.maximum(plane.x @ parameters[:2] + parameters[2], 0))

    angles = 2 * math.pi * np.arange(8) / 8
    starts = [np.array([math.cos(angle), math.sin(angle), bias]) for angle in angles for bias in (0.0, -0.2)]
    found = [minimize(missed, start, method="Nelder-Mead", options={"xatol": 1e-7, "fatol": 1e-9}) for start in starts]
    best = min(found, key=lambda each: each.fun)
    return float(best.fun), lambda x: np.maximum(x @ best.x[:2] + best.x[2], 0)


def two_layer_code(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """The first code of three directions at 120 degrees, exactly, for K = 1 and 2: ReLU(x_1 + |x_2| / sqrt 3).

    An MLP with four hidden units: |a| = ReLU(a) + ReLU(-a), a = ReLU(a) - ReLU(-a).
    """
    return np.maximum(x[:, 0] + np.abs(x[:, 1]) / math.sqrt(3), 0)


def _one() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Nodes [n, 1] and weights of |normal|: the positive half of a normal's."""
    node, weight = np.polynomial.hermite.hermgauss(2 * N_RADII)
    is_positive = node > 0
    return math.sqrt(2) * node[is_positive, None], 2 * weight[is_positive] / math.sqrt(math.pi)


def _pair() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Nodes [n, 2] and weights of two |normal| by angle and radius: r^2 / 2 is exponential, the angle uniform."""
    node, over_angle = np.polynomial.legendre.leggauss(N_ANGLES)
    half, over_radius = np.polynomial.laguerre.laggauss(N_RADII)
    angle, radius = np.meshgrid((node + 1) * math.pi / 4, np.sqrt(2 * half), indexing="ij")
    values = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1).reshape(-1, 2)
    weight = (over_angle[:, None] / 2 * over_radius).ravel()
    return values, weight / weight.sum()
