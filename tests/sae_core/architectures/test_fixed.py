"""Neurons are the coordinates; random directions are unit, seeded and centred."""

from __future__ import annotations

import pytest
import torch

from sae_core.build import build_dictionary
from sae_core.config import DictionaryConfig
from sae_core.errors import WidthMismatchError

X = torch.randn(30, 6, generator=torch.Generator().manual_seed(0)) + 3


def test_identity_returns_the_activations() -> None:
    neurons = build_dictionary(DictionaryConfig(kind="identity"), d_in=6, seed=0)
    assert neurons.is_signed and neurons.n_features == 6
    assert torch.equal(neurons.encode_dense(X), X)
    assert torch.equal(neurons.decode_dense(neurons.encode_dense(X)), X)
    assert torch.equal(neurons.directions, torch.eye(6))
    torch.testing.assert_close(neurons(X), X)


def test_identity_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="n_features = 7"):
        build_dictionary(DictionaryConfig(kind="identity", n_features=7), d_in=6, seed=0)


def test_random_directions_are_unit_seeded_projections_about_the_mean() -> None:
    config = DictionaryConfig(kind="random", n_features=11)
    first = build_dictionary(config, d_in=6, seed=1, sample=X)
    assert first.is_signed
    torch.testing.assert_close(first.directions.norm(dim=1), torch.ones(11))
    torch.testing.assert_close(first.encode_dense(X), (X - X.mean(0)) @ first.directions.T)
    torch.testing.assert_close(first.encode_features(X, torch.tensor([3])), first.encode_dense(X)[:, 3:4])
    assert torch.equal(first.directions, build_dictionary(config, d_in=6, seed=1).directions)
    assert not torch.equal(first.directions, build_dictionary(config, d_in=6, seed=2).directions)


@pytest.mark.parametrize("kind", ["identity", "random"])
def test_other_width_is_refused(kind: str) -> None:
    dictionary = build_dictionary(DictionaryConfig(kind=kind, n_features=6), d_in=6, seed=0)  # pyright: ignore
    with pytest.raises(WidthMismatchError, match=r"5 wide.*width 6"):
        dictionary.encode_dense(X[:, :5])
