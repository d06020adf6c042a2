"""The clock of silent features, and resampling as Bricken et al. describe it."""

from __future__ import annotations

import pytest
import torch

from sae_core.architectures.relu import ReluDictionary
from sae_core.build import build_dictionary
from sae_core.config import DictionaryConfig
from sae_core.training.deadness import FiringClock, resample_dead


def _x(n_rows: int = 50) -> torch.Tensor:
    return torch.randn(n_rows, 8, generator=torch.Generator().manual_seed(0))


def _trained_a_little() -> tuple[ReluDictionary, torch.optim.Adam]:
    dictionary = build_dictionary(DictionaryConfig(kind="relu", n_features=20), d_in=8, seed=0, sample=_x())
    assert isinstance(dictionary, ReluDictionary)
    optimiser = torch.optim.Adam(dictionary.parameters(), lr=0.01)
    for _ in range(3):
        optimiser.zero_grad()
        (dictionary.training_pass(_x()).reconstruction - _x()).square().mean().backward()
        optimiser.step()
        dictionary.normalise_decoder()
    return dictionary, optimiser


def test_clock_counts_silent_activations() -> None:
    clock = FiringClock(3, device=torch.device("cpu"))
    clock.advance(torch.tensor([True, False, False]), n_tokens=10)
    clock.advance(torch.tensor([False, True, False]), n_tokens=5)
    assert clock.n_silent_tokens.tolist() == [5, 0, 15]
    assert clock.is_dead(15).tolist() == [False, False, True]
    clock.restart(torch.tensor([2]))
    assert not clock.is_dead(15).any()


def test_resampling_revives_and_clears_exactly_the_dead_rows() -> None:
    dictionary, optimiser = _trained_a_little()
    dead = torch.tensor([2, 11])
    with torch.no_grad():
        dictionary.b_enc[dead] = -100.0
    x = _x()
    is_dead = ~(dictionary.encode_dense(x) > 0).any(dim=0)
    assert is_dead.nonzero()[:, 0].tolist() == [2, 11]
    before = {name: p.detach().clone() for name, p in dictionary.named_parameters()}
    live_norm = dictionary.W_enc[~is_dead].norm(dim=1).mean()
    error = (x - dictionary(x)).detach()
    revived = resample_dead(
        dictionary, optimiser, is_dead=is_dead, x=x, error=error, draw=torch.Generator().manual_seed(1)
    )
    assert revived.tolist() == [2, 11]
    assert (dictionary.encode_dense(x) > 0).any(dim=0).all()
    torch.testing.assert_close(dictionary.W_enc[dead].norm(dim=1), (0.2 * live_norm).expand(2))
    inputs = torch.nn.functional.normalize(x - dictionary.b_dec, dim=1)
    assert ((dictionary.directions[dead] @ inputs.T).max(dim=1).values > 0.9999).all()
    for name in ("W_enc", "b_enc", "W_dec"):
        parameter = dictionary.get_parameter(name)
        assert torch.equal(parameter[~is_dead], before[name][~is_dead])
        for moment in ("exp_avg", "exp_avg_sq"):
            rows = optimiser.state[parameter][moment].view(20, -1)
            assert not rows[is_dead].any()
            assert rows[~is_dead].any(dim=1).all()


def test_revived_features_are_as_bricken_et_al_describe() -> None:
    """Direction: a badly reconstructed input, another one for each feature; encoder: the same direction at a fifth of
    the live rows' mean norm; bias 0; and no moment of Adam's left anywhere."""
    dictionary, optimiser = _trained_a_little()
    x, is_dead = _x(), torch.zeros(20, dtype=torch.bool)
    is_dead[[0, 7, 8, 19]] = True
    error = torch.zeros_like(x)
    bad = [4, 11, 30, 42]
    error[bad] = torch.arange(1.0, 5.0)[:, None]
    live_norm = dictionary.W_enc[~is_dead].norm(dim=1).mean()
    revived = resample_dead(
        dictionary, optimiser, is_dead=is_dead, x=x, error=error, draw=torch.Generator().manual_seed(3)
    )
    assert revived.tolist() == [0, 7, 8, 19]
    inputs = torch.nn.functional.normalize(x - dictionary.b_dec, dim=1)
    taken = (dictionary.directions[revived] @ inputs.T).argmax(dim=1)
    assert sorted(taken.tolist()) == bad, "every bad input once, no other"
    torch.testing.assert_close(dictionary.directions[revived], inputs[taken])
    torch.testing.assert_close(dictionary.W_enc[revived], 0.2 * live_norm * inputs[taken])
    assert not dictionary.b_enc[revived].any()
    before = dictionary.W_dec[revived].detach().clone()
    optimiser.zero_grad()
    dictionary.W_dec.grad = torch.zeros_like(dictionary.W_dec)
    optimiser.step()
    assert torch.equal(dictionary.W_dec[revived], before), "a step without gradient would move them by old momentum"


def test_inputs_are_drawn_in_proportion_to_squared_loss() -> None:
    x = torch.eye(4).repeat(1, 2)
    error = torch.zeros(4, 8)
    error[1, 0] = 1.0  # loss 1, weight 1
    error[3, 0] = 3.0**0.5  # loss 3, weight 9
    n_third = 0
    for seed in range(200):
        dictionary, optimiser = _trained_a_little() if seed == 0 else (dictionary, optimiser)
        is_dead = torch.zeros(20, dtype=torch.bool)
        is_dead[5] = True
        draw = torch.Generator().manual_seed(seed)
        resample_dead(dictionary, optimiser, is_dead=is_dead, x=x, error=error, draw=draw)
        directions = torch.nn.functional.normalize(x - dictionary.b_dec, dim=1) @ dictionary.directions[5]
        chosen = int(directions.argmax())
        assert chosen in (1, 3)
        n_third += chosen == 3
    assert n_third / 200 == pytest.approx(0.9, abs=0.06)


def test_nothing_is_revived_without_error_or_without_dead_features() -> None:
    dictionary, optimiser = _trained_a_little()
    x, none, all_ = _x(), torch.zeros(20, dtype=torch.bool), torch.ones(20, dtype=torch.bool)
    draw = torch.Generator().manual_seed(0)
    assert resample_dead(dictionary, optimiser, is_dead=none, x=x, error=x, draw=draw).numel() == 0
    assert resample_dead(dictionary, optimiser, is_dead=all_, x=x, error=0 * x, draw=draw).numel() == 0
    assert resample_dead(dictionary, optimiser, is_dead=all_, x=x[:7], error=x[:7], draw=draw).numel() == 7
