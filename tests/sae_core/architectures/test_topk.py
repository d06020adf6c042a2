"""TopK keeps exactly k, and AuxK trains the encoder of dead features."""

from __future__ import annotations

import pytest
import torch

from sae_core.architectures.topk import TopKDictionary
from sae_core.build import build_dictionary
from sae_core.config import DictionaryConfig


def _build(**fields: object) -> TopKDictionary:
    config = DictionaryConfig(kind="topk", n_features=64, k=5, **fields)  # pyright: ignore
    dictionary = build_dictionary(config, d_in=16, seed=0, sample=_batch(100))
    assert isinstance(dictionary, TopKDictionary)
    return dictionary


def _batch(n_rows: int = 20) -> torch.Tensor:
    return torch.randn(n_rows, 16, generator=torch.Generator().manual_seed(1))


def test_exactly_k_features_are_active_and_they_are_the_largest() -> None:
    dictionary = _build()
    code = dictionary.encode_dense(_batch())
    assert (code > 0).sum(dim=1).tolist() == [5] * 20
    pre = (_batch() - dictionary.b_dec) @ dictionary.W_enc.T + dictionary.b_enc
    torch.testing.assert_close(code, torch.where(pre >= pre.topk(5, dim=1).values[:, -1:], pre, 0.0))


def test_pre_activations_below_zero_are_no_codes() -> None:
    dictionary = _build()
    with torch.no_grad():
        dictionary.b_enc.fill_(-1e3)
    assert not dictionary.encode_dense(_batch()).any()


@pytest.mark.parametrize("auxk", [None, 2])
def test_auxk_sends_gradient_to_the_dead_features_and_to_no_other(auxk: int | None) -> None:
    dictionary, x = _build(auxk=auxk), _batch()
    dead = torch.tensor([4, 9, 33])
    loss = dictionary.auxiliary_loss(x, dictionary(x), dead)
    assert loss is not None
    loss.backward()
    for parameter in (dictionary.W_enc, dictionary.b_enc, dictionary.W_dec):
        assert parameter.grad is not None
        touched = parameter.grad.view(64, -1).abs().sum(dim=1).nonzero()[:, 0]
        assert touched.tolist() == [4, 9, 33]


def test_auxk_equals_its_definition() -> None:
    dictionary, x = _build(auxk=2), _batch()
    dead = torch.tensor([4, 9, 33])
    reconstruction = dictionary(x)
    residual = x - reconstruction
    code = torch.relu((x - dictionary.b_dec) @ dictionary.W_enc[dead].T + dictionary.b_enc[dead])
    code[torch.arange(20), code.argmin(dim=1)] = 0.0  # two of three kept
    error = (residual - code @ dictionary.W_dec[dead]).square().sum()
    wanted = error / (residual - residual.mean(0)).square().sum() / 32
    found = dictionary.auxiliary_loss(x, reconstruction, dead)
    assert found is not None
    torch.testing.assert_close(found, wanted)


def test_auxk_is_silent_without_dead_features_or_weight() -> None:
    x = _batch()
    assert _build().auxiliary_loss(x, x, torch.zeros(0, dtype=torch.int64)) is None
    assert _build(auxk_weight=0.0).auxiliary_loss(x, x, torch.tensor([1])) is None
