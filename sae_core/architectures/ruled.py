"""A linear encoder and decoder with a selection rule between them, for other tools' dictionaries."""

from __future__ import annotations

from typing import Any, Literal, get_args

import torch
import torch.nn.functional as functional
from jaxtyping import Float
from torch import Tensor

from sae_core.config import DictionaryConfig
from sae_core.dictionary import Dictionary, SparseCode

__all__ = ["Rule", "RuledDictionary"]

Rule = Literal["relu", "jumprelu", "topk", "signed_topk", "abstopk", "groupmax"]
"""Which pre-activations z become codes. topk: the k largest, if above 0; signed_topk: the k largest; abstopk: the k
largest |z|; groupmax: the largest of each of k groups of neighbouring features, if above 0."""


class RuledDictionary(Dictionary):
    """f = code_scale * rule(W_enc (x - b_dec) + b_enc), x_hat = f W_dec + b_dec (+ W_skip x).

    Buffers: W_enc [n_features, d_in], b_enc and code_scale [n_features], W_dec [n_features, d_in] with unit rows, b_dec
    [d_in]; jumprelu: threshold [n_features]; with a skip: W_skip [d_in, d_in].
    """

    family = "ruled"
    W_enc: Tensor
    b_enc: Tensor
    W_dec: Tensor
    b_dec: Tensor
    code_scale: Tensor
    threshold: Tensor
    W_skip: Tensor

    def __init__(
        self, config: DictionaryConfig, *, d_in: int, rule: Rule, d_out: int | None = None, has_skip: bool = False
    ) -> None:
        super().__init__()
        if config.n_features is None:
            raise ValueError("n_features must be given")
        if rule not in get_args(Rule):
            raise ValueError(f"rule = {rule!r}: must be one of {get_args(Rule)}")
        if rule == "groupmax" and config.n_features % config.k:
            raise ValueError(f"k = {config.k}: groupmax must divide the {config.n_features} features")
        self.config = config
        self.rule = rule
        self.d_in = d_in
        self.d_out = d_in if d_out is None else d_out
        self.n_features = config.n_features
        self.has_skip = has_skip
        self.is_signed = rule in ("signed_topk", "abstopk")
        n = self.n_features
        shapes = {"W_enc": (n, d_in), "b_enc": (n,), "W_dec": (n, self.d_out), "b_dec": (self.d_out,)}
        if rule == "jumprelu":
            shapes["threshold"] = (n,)
        if has_skip:
            shapes["W_skip"] = (self.d_out, d_in)
        for name, shape in shapes.items():
            self.register_buffer(name, torch.zeros(shape))
        self.register_buffer("code_scale", torch.ones(n))  # decoder norms that the rule must not see

    @property
    def options(self) -> dict[str, Any]:
        return {"rule": self.rule, "d_out": self.d_out, "has_skip": self.has_skip}

    @property
    def directions(self) -> Float[Tensor, "n_features d_out"]:
        return self.W_dec

    @property
    def offset(self) -> Float[Tensor, " d_out"]:
        return self.b_dec

    def hidden(self, x: Float[Tensor, "batch d_in"]) -> Float[Tensor, "batch d_in"]:
        return x - self.b_dec

    def encode(self, x: Float[Tensor, "batch d_in"]) -> SparseCode:
        self.check_width(x)
        pre = functional.linear(self.hidden(x), self.W_enc, self.b_enc)
        if self.rule in ("relu", "jumprelu"):
            is_active = pre > (self.threshold if self.rule == "jumprelu" else 0.0)
            return SparseCode.from_dense(torch.relu(pre) * is_active * self.code_scale)
        if self.rule == "groupmax":
            values, indices = pre.unflatten(1, (self.config.k, -1)).max(dim=2)
            indices = indices + torch.arange(0, self.n_features, self.n_features // self.config.k, device=pre.device)
        elif self.rule == "abstopk":
            indices = pre.abs().topk(self.config.k, dim=1, sorted=False).indices
            values = pre.gather(1, indices)
        else:
            values, indices = pre.topk(self.config.k, dim=1, sorted=False)
        values = values if self.is_signed else torch.relu(values)
        return SparseCode(values * self.code_scale[indices], indices)

    def encode_dense(self, x: Float[Tensor, "batch d_in"]) -> Float[Tensor, "batch n_features"]:
        return self.encode(x).to_dense(self.n_features)

    def reconstruct(
        self, x: Float[Tensor, "batch d_in"], code: Float[Tensor, "batch n_features"]
    ) -> Float[Tensor, "batch d_out"]:
        decoded = self.decode_dense(code)
        return decoded + functional.linear(x, self.W_skip) if self.has_skip else decoded

    def forward(self, x: Float[Tensor, "batch d_in"]) -> Float[Tensor, "batch d_out"]:
        return self.reconstruct(x, self.encode_dense(x))
