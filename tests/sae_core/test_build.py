"""Fresh dictionaries start where the papers say, from the sample and the seed alone."""

from __future__ import annotations

import dataclasses
import math
from typing import get_args

import pytest
import torch

from sae_core.build import FAMILIES, build_dictionary, fit_input_scale
from sae_core.config import DictionaryConfig, DictionaryKind
from sae_core.encoder import EncoderDictionary
from sae_core.errors import TrainingDataError, WidthMismatchError
from sae_core.geometric_median import geometric_median
from sae_core.trainable import TrainableDictionary
from tests.sae_core.dense_reference import CONFIGS, LAYERED

X = torch.randn(300, 9, generator=torch.Generator().manual_seed(0)) * 4 + 7


@pytest.mark.parametrize("name", CONFIGS)
def test_offset_is_the_geometric_median_and_scale_gives_norm_root_d(name: str) -> None:
    dictionary = build_dictionary(CONFIGS[name], d_in=9, seed=0, sample=X)
    assert isinstance(dictionary, TrainableDictionary) and dictionary.is_scale_fitted
    torch.testing.assert_close(dictionary.offset, geometric_median(X))
    assert float((X * dictionary.input_scale).norm(dim=1).mean()) == pytest.approx(math.sqrt(9), rel=1e-5)
    torch.testing.assert_close(dictionary.directions.norm(dim=1), torch.ones(40))
    plain = build_dictionary(CONFIGS[name], d_in=9, seed=0, sample=X, normalise_inputs=False)
    assert isinstance(plain, TrainableDictionary) and float(plain.input_scale) == 1.0


@pytest.mark.parametrize("name", sorted(set(CONFIGS) - LAYERED))
def test_encoder_starts_along_the_directions(name: str) -> None:
    config = dataclasses.replace(CONFIGS[name], encoder_init_norm=0.25)
    dictionary = build_dictionary(config, d_in=9, seed=0)
    assert isinstance(dictionary, EncoderDictionary)
    torch.testing.assert_close(dictionary.W_enc, (1.0 if config.is_tied else 0.25) * dictionary.W_dec)


def test_the_global_generator_is_neither_used_nor_moved() -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = build_dictionary(DictionaryConfig(kind="mlp", n_features=8), d_in=9, seed=0, sample=X)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    second = build_dictionary(DictionaryConfig(kind="mlp", n_features=8), d_in=9, seed=0, sample=X)
    for name, tensor in first.state_dict().items():
        assert torch.equal(tensor, second.state_dict()[name])


def test_every_kind_has_a_family() -> None:
    assert set(FAMILIES) == set(get_args(DictionaryKind))


@pytest.mark.parametrize(
    ("sample", "message"),
    [(torch.zeros(0, 9), "empty"), (torch.zeros(3, 9), "are 0"), (torch.full((3, 9), torch.inf), "mean norm inf")],
)
def test_samples_that_cannot_be_scaled(sample: torch.Tensor, message: str) -> None:
    with pytest.raises(TrainingDataError, match=message):
        fit_input_scale(sample)


def test_sample_of_another_width() -> None:
    with pytest.raises(WidthMismatchError, match=r"9 wide.*8 wide"):
        build_dictionary(DictionaryConfig(kind="relu", n_features=4), d_in=8, seed=0, sample=X)
