"""A normalised dictionary: codes of normalised activations, quality of the reconstruction brought back."""

from __future__ import annotations

import math
from typing import get_args

import pytest
import torch

from sae_core.architectures.normalised import Normalisation, NormalisedDictionary
from sae_core.build import build_dictionary
from sae_core.config import DictionaryConfig
from sae_core.dictionary import Dictionary
from sae_core.errors import WidthMismatchError
from sae_core.quality import measure_quality

D, N = 6, 10
X = torch.randn(50, D, generator=torch.Generator().manual_seed(0)) * 3 + 1


def _inner() -> Dictionary:
    return build_dictionary(DictionaryConfig(kind="topk", n_features=N, k=3), d_in=D, seed=0).requires_grad_(False)


def _by_hand(method: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    rows = X.double()
    if method == "layer_norm":
        mean, deviation = rows.mean(1, keepdim=True), rows.var(1, keepdim=True).sqrt()
        return ((rows - mean) / (deviation + 1e-5)), mean, deviation
    norm = rows.square().sum(1, keepdim=True).sqrt() / math.sqrt(D)
    return rows / norm, torch.zeros_like(norm), norm


@pytest.mark.parametrize("method", get_args(Normalisation))
def test_codes_output_and_quality(method: Normalisation) -> None:
    inner = _inner()
    dictionary = NormalisedDictionary(inner, method=method)
    z, shift, scale = _by_hand(method)
    code = inner.encode_dense(z.float())
    wanted = inner(z.float()).double() * scale + shift
    torch.testing.assert_close(dictionary.encode_dense(X), code)
    torch.testing.assert_close(dictionary.encode(X).to_dense(N), code)
    torch.testing.assert_close(dictionary.encode_features(X, torch.tensor([4, 1])), code[:, [4, 1]])
    torch.testing.assert_close(dictionary(X).double(), wanted, rtol=1e-5, atol=1e-5)
    quality = measure_quality(dictionary, [X])
    assert quality.mse == pytest.approx(float((wanted - X).square().mean()), rel=1e-5)
    assert torch.equal(dictionary.directions, inner.directions)


def test_a_silent_activation_has_finite_codes() -> None:
    for method in get_args(Normalisation):
        found = NormalisedDictionary(_inner(), method=method)(torch.zeros(2, D))
        assert bool(found.isfinite().all())


def test_activations_of_another_width_are_refused() -> None:
    with pytest.raises(WidthMismatchError, match="7 wide"):
        NormalisedDictionary(_inner(), method="layer_norm").encode(torch.zeros(2, 7))
