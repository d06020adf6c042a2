"""The reconstructed accounting gives the paper's four totals to their three digits."""

from __future__ import annotations

from typing import Any

import pytest

from sae_core.flops import encoder_training_flops, log_codes_training_flops
from sae_core.published_flops import (
    PUBLISHED_STEPS,
    published_code_optimisation_flops,
    published_mlp_training_flops,
    published_sae_training_flops,
    published_sparse_coding_training_flops,
)

BASE: dict[str, Any] = {"n_rows": 1024, "d_in": 8, "n_features": 16, "n_steps": PUBLISHED_STEPS}


def test_totals_of_both_unknown() -> None:
    assert f"{published_sae_training_flops(**BASE):.2e}" == "7.05e+10"
    assert f"{published_mlp_training_flops(**BASE, d_hidden=32):.2e}" == "2.32e+11"
    assert f"{published_mlp_training_flops(**BASE, d_hidden=256):.2e}" == "1.58e+12"
    assert f"{published_sparse_coding_training_flops(**BASE):.2e}" == "2.07e+12"


def test_counting_the_batch_once_makes_sparse_coding_24_times_cheaper() -> None:
    once = published_sparse_coding_training_flops(**BASE, is_batch_counted_twice=False)
    assert published_sparse_coding_training_flops(**BASE) / once == pytest.approx(23.9, abs=0.05)
    assert once < 1.3 * published_sae_training_flops(**BASE)


def test_ours_counts_products_only_and_less_than_theirs() -> None:
    ours = encoder_training_flops(**BASE)
    assert 0.7 < ours / published_sae_training_flops(**BASE) < 1
    assert 0.8 < encoder_training_flops(**BASE, hidden=(256,)) / published_mlp_training_flops(**BASE, d_hidden=256) < 1
    assert log_codes_training_flops(**BASE) < published_sparse_coding_training_flops(
        **BASE, is_batch_counted_twice=False
    )
    assert published_code_optimisation_flops(n_rows=2, d_in=8, n_features=16, n_steps=3) == 2 * (144 + 3 * 704)
