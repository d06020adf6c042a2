"""The amortisation gap where the truth is known: closed forms in the plane, and the bound of rank."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad

from synthetic_studies.amortisation_gap import interference, missed_shares
from synthetic_studies.exact_gap import best_rectified_line, missed_share, plane_of, two_layer_code


def test_one_active_source_of_three_has_no_gap() -> None:
    plane = plane_of(3, k=1)
    least, encoder = best_rectified_line(plane)
    assert least < 1e-8
    assert missed_share(plane, two_layer_code(plane.x)) < 1e-12
    assert missed_share(plane, encoder(plane.x)) == pytest.approx(least)


def test_two_active_sources_leave_one_that_is_computed() -> None:
    plane = plane_of(3, k=2)
    least, _ = best_rectified_line(plane)
    # of lines along the direction and without bias: codes (cos t, sin t) r, found (cos t - sin t / 2) where positive
    end = math.atan(2.0)
    product, size = (
        quad(lambda t, power=power: math.cos(t) ** (2 - power) * (math.cos(t) - math.sin(t) / 2) ** power, 0, end)[0]
        for power in (1, 2)
    )
    along = 1 - product**2 / (size * math.pi / 4)
    assert missed_share(plane, np.maximum(plane.x[:, 0], 0) * product / size) == pytest.approx(along, abs=1e-3)
    assert 0.05 < least < along
    assert missed_share(plane, two_layer_code(plane.x)) < 1e-12


def test_nodes_have_the_moments_of_half_normal_codes() -> None:
    for k in (1, 2):
        plane = plane_of(4, k=k)
        assert float(plane.weight @ (plane.codes > 0).sum(axis=1)) == pytest.approx(k)
        second = plane.weight @ plane.codes**2
        assert second.tolist() == pytest.approx([k / 4] * 4, rel=1e-3)


@given(st.integers(2, 6), st.integers(0, 8), st.integers(0, 10_000))
def test_no_matrix_mixes_less_than_its_rank_allows(d_in: int, more: int, seed: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    directions, encoder = (torch.randn(d_in + more, d_in, generator=draw).double() for _ in range(2))
    assert float(interference(encoder, directions).mean()) >= 1 - d_in / (d_in + more) - 1e-9


def test_an_even_frame_reaches_the_bound() -> None:
    directions = torch.from_numpy(plane_of(3, k=1).directions)
    assert interference(directions, directions).tolist() == pytest.approx([1 / 3] * 3)


def test_what_is_missed_is_free_of_scale() -> None:
    true = torch.tensor([[[1.0, 0.0, 2.0, 0.0], [2.0, 0.0, 0.0, 0.0], [0.0, 1.0, 1.0, 0.0]]])
    found = torch.stack([true[..., 0] * 3, torch.zeros(1, 3), torch.tensor([[0.0, 1.0, 0.0]]), true[..., 1]], dim=2)
    shares = missed_shares(true, found)[0]
    assert shares[:3].tolist() == pytest.approx([0.0, 1.0, 1.0])
    assert bool(shares[3].isnan())
