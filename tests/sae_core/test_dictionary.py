"""Sparse codes hold exactly what the dense ones do."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sae_core.build import build_dictionary
from sae_core.config import DictionaryConfig
from sae_core.dictionary import SparseCode
from sae_core.sparse.kernels import decode_selected
from sae_core.sparse.selection import select_top_k


@settings(max_examples=30, deadline=None)
@given(n_rows=st.integers(0, 9), n_features=st.integers(1, 12), share=st.floats(0, 1), seed=st.integers(0, 999))
def test_dense_to_sparse_and_back(n_rows: int, n_features: int, share: float, seed: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    dense = torch.randn(n_rows, n_features, generator=draw)
    dense = dense * (torch.rand(n_rows, n_features, generator=draw) < share)
    code = SparseCode.from_dense(dense)
    assert torch.equal(code.to_dense(n_features), dense)
    widest = int((dense != 0).sum(dim=1).max()) if n_rows else 0
    assert code.values.shape == code.indices.shape == (n_rows, max(1, widest))


def test_decoding_a_sparse_code_equals_decoding_the_dense_one() -> None:
    x = torch.randn(20, 6, generator=torch.Generator().manual_seed(0))
    dictionary = build_dictionary(DictionaryConfig(kind="random", n_features=9), d_in=6, seed=0, sample=x)
    code = dictionary.encode(x)
    torch.testing.assert_close(dictionary.decode(code), dictionary.decode_dense(dictionary.encode_dense(x)))


def test_shapes_are_checked_in_this_test_run() -> None:
    dictionary = build_dictionary(DictionaryConfig(kind="topk", n_features=9, k=2), d_in=6, seed=0)
    with pytest.raises(TypeError):
        dictionary.decode_dense(torch.zeros(3, 2, 9))
    values, selection = select_top_k(torch.ones(3, 6), torch.ones(9, 6), torch.zeros(9), k=2)
    with pytest.raises(TypeError):
        decode_selected(values[:, None], selection, decoder=torch.ones(9, 6))
