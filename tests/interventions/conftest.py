"""The tiny subjects of tests/subject, and a small dictionary over their residual stream."""

from __future__ import annotations

import pytest
import torch

from sae_core.architectures.relu import ReluDictionary
from sae_core.config import DictionaryConfig
from tests.subject.conftest import byte_tokenizer, raw_models, subjects

__all__ = ["byte_tokenizer", "raw_models", "sae", "subjects"]


@pytest.fixture(scope="session")
def sae() -> ReluDictionary:
    """Untrained: 40 features over 16 inputs, so that it reconstructs badly."""
    draw = torch.Generator().manual_seed(5)
    dictionary = ReluDictionary(DictionaryConfig(kind="relu", n_features=40), d_in=16, draw=draw)
    with torch.no_grad():
        dictionary.b_enc.normal_(generator=draw)
    return dictionary
