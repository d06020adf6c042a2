"""Devices by name, and a matmul setting that is put back."""

from __future__ import annotations

import pytest
import torch

from sae_core.device import fast_matmul, resolve_device


def test_names() -> None:
    assert resolve_device("cpu") == torch.device("cpu")
    assert resolve_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    with pytest.raises(ValueError, match="device = 'gpu'"):
        resolve_device("gpu")
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match="no CUDA device"):
            resolve_device("cuda:0")


def test_precision_is_restored_even_after_an_error_and_the_fast_product_is_exact() -> None:
    before = torch.get_float32_matmul_precision()
    draw = torch.Generator().manual_seed(0)
    left, right = torch.randn(100, 300, generator=draw), torch.randn(300, 100, generator=draw)
    with pytest.raises(KeyError), fast_matmul(torch.device("cpu")):
        wanted = left.double() @ right.double()
        assert float(((left @ right).double() - wanted).norm() / wanted.norm()) < 1e-5
        raise KeyError
    assert torch.get_float32_matmul_precision() == before
