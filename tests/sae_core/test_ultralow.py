"""The ultralow-density cluster: found where there are two modes, and nowhere else."""

from __future__ import annotations

import pytest
import torch

from sae_core.ultralow import find_ultralow


def drawn(*modes: tuple[int, float, float], n_tokens: int = 65_536, n_dead: int = 0, seed: int = 0) -> torch.Tensor:
    """Densities over a sample of so many tokens; a mode is (features, mean of log10 density, deviation)."""
    draw = torch.Generator().manual_seed(seed)
    rates = [10 ** (mean + deviation * torch.randn(n, generator=draw)) for n, mean, deviation in modes]
    counts = torch.poisson(torch.cat(rates).clamp(max=0.9) * n_tokens, generator=draw)
    return torch.cat([counts, torch.zeros(n_dead)]) / n_tokens


@pytest.mark.parametrize("seed", range(3))
def test_a_lower_mode_is_found_with_its_features(seed: int) -> None:
    density = drawn((4000, -3.8, 0.25), (900, -1.8, 0.3), n_dead=500, seed=seed)
    found = find_ultralow(density)
    assert found is not None
    assert 10**-3.25 <= found.limit <= 10**-2.5
    assert found.n_features == pytest.approx(4000, abs=40)
    assert found.live_frac == pytest.approx(4000 / 4900, abs=0.01)


@pytest.mark.parametrize(
    "modes",
    [
        [(6000, -2.4, 0.4)],  # one mode
        [(6000, -3.6, 0.8)],  # a wide one that the sample cuts off
        [(6000, -4.6, 0.5)],  # one most of which fires once or never
        [(5700, -2.6, 0.3), (300, -0.6, 0.2)],  # dense features above the body
        [(3000, -2.6, 0.2), (3000, -1.2, 0.2)],  # two modes, none of them low
        [(40, -3.8, 0.3), (20, -1.8, 0.3)],  # too few to tell
        [],
    ],
)
def test_without_a_mode_of_its_own_there_is_no_cluster(modes: list[tuple[int, float, float]]) -> None:
    for seed in range(3):
        assert find_ultralow(drawn(*modes, seed=seed) if modes else torch.zeros(9)) is None


def test_features_that_never_fire_are_no_cluster() -> None:
    assert find_ultralow(drawn((500, -2.0, 0.3), n_dead=5000)) is None
