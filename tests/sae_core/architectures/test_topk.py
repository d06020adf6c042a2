"""TopK keeps exactly k, AuxK follows its definition, and k follows its schedule."""

from __future__ import annotations

import pytest
import torch

from sae_core.architectures.topk import TopKDictionary
from sae_core.build import build_dictionary
from sae_core.config import DictionaryConfig


def _build(**fields: object) -> TopKDictionary:
    config = DictionaryConfig(**{"kind": "topk", "n_features": 64, "k": 5, **fields})  # pyright: ignore
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


@pytest.mark.parametrize(("start", "wanted"), [(25, [25, 15, 5, 5, 5]), (1, [1, 3, 5, 5, 5]), (None, [5] * 5)])
def test_k_runs_linearly_from_its_start_to_its_end(start: int | None, wanted: list[int]) -> None:
    dictionary = _build(k_start=start, k_warmup_frac=0.5)
    found = []
    for progress in (0.0, 0.25, 0.5, 0.75, 1.0):
        dictionary.anneal(progress)
        found.append(int(dictionary.training_pass(_batch()).n_active))
    assert found == wanted


def test_k_is_the_final_one_before_and_after_training() -> None:
    dictionary = _build(k_start=25)
    assert dictionary.encode(_batch()).values.shape[1] == 5
    dictionary.anneal(0.0)
    assert dictionary.encode(_batch()).values.shape[1] == 25
    dictionary.finish()
    assert dictionary.encode(_batch()).values.shape[1] == 5


def test_k_without_a_warm_up_is_the_final_one_at_once() -> None:
    dictionary = _build(k_start=25, k_warmup_frac=0.0)
    dictionary.anneal(0.0)
    assert dictionary.k == 5
