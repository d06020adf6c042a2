"""ProLU thresholds without shrinking, and its bias gets ReLU's gradient."""

from __future__ import annotations

import torch

from tests.sae_core.dense_reference import CONFIGS, batch, build


def test_the_bias_decides_but_is_not_added() -> None:
    dictionary, x = build(CONFIGS["prolu"]), batch()
    with torch.no_grad():
        dictionary.b_enc.copy_(torch.linspace(-3, 3, 40))
    product = (x - dictionary.b_dec) @ dictionary.W_enc.T
    is_active = (product > 0) & (product + dictionary.b_enc > 0)
    torch.testing.assert_close(dictionary.encode_dense(x), torch.where(is_active, product, 0.0))


def test_the_bias_gets_one_where_the_feature_is_active() -> None:
    dictionary, x = build(CONFIGS["prolu"]), batch()
    with torch.no_grad():
        dictionary.b_enc.copy_(torch.linspace(-3, 3, 40))
    is_active = dictionary.encode_dense(x) > 0
    passed = dictionary.training_pass(x)
    (gradient,) = torch.autograd.grad(passed.code_sum * 30, dictionary.b_enc)
    torch.testing.assert_close(gradient, is_active.sum(dim=0).float())
