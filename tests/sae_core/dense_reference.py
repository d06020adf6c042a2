"""The dictionaries' codes and losses written plainly with dense autograd, to hold the fast paths against."""

from __future__ import annotations

import torch
from torch import Tensor

from sae_core.architectures.mlp import HiddenLayer, MlpDictionary
from sae_core.architectures.topk import TopKDictionary
from sae_core.trainable import EncoderDictionary


def dense_code(dictionary: EncoderDictionary, x: Tensor) -> Tensor:
    hidden = x - dictionary.b_dec
    if isinstance(dictionary, MlpDictionary):
        for layer in dictionary.layers:
            assert isinstance(layer, HiddenLayer)
            hidden = torch.relu(hidden @ layer.W_hidden.T + layer.b_hidden)
    pre = hidden @ dictionary.W_enc.T + dictionary.b_enc
    if isinstance(dictionary, TopKDictionary):
        keep = torch.zeros_like(pre).scatter(1, pre.topk(dictionary.k, dim=1).indices, 1.0)
        pre = pre * keep
    return torch.relu(pre)


def dense_pass(dictionary: EncoderDictionary, x: Tensor) -> tuple[Tensor, Tensor]:
    """(reconstruction, mean sum of the codes)."""
    code = dense_code(dictionary, x)
    return code @ dictionary.W_dec + dictionary.b_dec, code.sum() / x.shape[0]


def gradients(dictionary: EncoderDictionary, loss: Tensor) -> dict[str, Tensor]:
    names = [name for name, _ in dictionary.named_parameters()]
    return dict(zip(names, torch.autograd.grad(loss, list(dictionary.parameters())), strict=True))


def relative_error(found: Tensor, wanted: Tensor) -> float:
    return float(((found - wanted).norm() / wanted.norm().clamp_min(1e-30)).detach())
