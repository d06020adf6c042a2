"""The JumpReLU sparse autoencoder of Rajamanoharan et al. 2024 (arXiv 2407.14435): a learned threshold per feature."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as functional
from jaxtyping import Float, Int
from torch import Tensor, nn

from sae_core.encoder import ALL_FEATURES, EncoderDictionary, Features
from sae_core.sparse.codes import DenseCodes, SelectedCodes
from sae_core.sparse.kernels import attach_encoder
from sae_core.sparse.selection import is_selection_worthwhile, select_above
from sae_core.trainable import TrainingPass

__all__ = ["JumpReluDictionary", "jump"]

L0_WEIGHT = 1e-3
L0_WEIGHT_WITH_TARGET = 1.0


class _Jump(torch.autograd.Function):
    """(z, theta, bandwidth) -> (z * H(z - theta), H(z - theta))."""

    @staticmethod
    def forward(ctx, pre, threshold, bandwidth):
        is_above = pre > threshold
        ctx.save_for_backward(pre, threshold, bandwidth, is_above)
        return pre * is_above, is_above.to(pre.dtype)

    @staticmethod
    def backward(ctx, *gradients):
        pre, threshold, bandwidth, is_above = ctx.saved_tensors
        to_code, to_gate = gradients
        # The rectangle kernel K(u) = 1[|u| < 1/2] with u = (z - theta) / bandwidth.
        # d JumpReLU / d theta = -(theta / bandwidth) K(u), d H / d theta = -(1 / bandwidth) K(u), d JumpReLU / d z = H.
        kernel = ((pre - threshold).abs() < bandwidth / 2).to(pre.dtype) / bandwidth
        return to_code * is_above, -kernel * (threshold * to_code + to_gate), None


def jump(
    pre: Float[Tensor, "*shape"], threshold: Float[Tensor, "*shape"], *, bandwidth: Float[Tensor, ""]
) -> tuple[Float[Tensor, "*shape"], Float[Tensor, "*shape"]]:
    """JumpReLU of pre-activations, and the step H(z - theta) that counts towards L0 (section 3).

    The gradients for theta are the pseudo-derivatives of equations 11 and 12, with a rectangle kernel.
    """
    return _Jump.apply(pre, threshold, bandwidth)  # pyright: ignore[reportReturnType]


class JumpReluDictionary(EncoderDictionary):
    """f = JumpReLU_theta(W_e (x - b_d) + b_e), theta = exp(log_threshold), in activation units.

    The penalty is l0_weight * L0 (equation 9), or with a target l0_weight * (L0 / target - 1)^2 (Karvonen et al. 2025,
    arXiv 2503.09532), above the target log(L0 / target)^2.
    """

    log_threshold: nn.Parameter

    def add_feature_parameters(self) -> None:
        super().add_feature_parameters()
        self.log_threshold = nn.Parameter(torch.full((self.n_features,), math.log(self.config.threshold_init)))

    @property
    def feature_parameters(self) -> list[nn.Parameter]:
        return [*super().feature_parameters, self.log_threshold]

    @property
    def bandwidth(self) -> Float[Tensor, ""]:
        """Width of the kernel, in activation units."""
        return self.config.bandwidth / self.input_scale

    @torch.no_grad()
    def scale_thresholds(self, factor: float) -> None:
        self.log_threshold.add_(math.log(factor))

    @property
    def floor(self) -> Float[Tensor, " n_features"]:
        return self.log_threshold.exp()

    def codes_of(
        self, hidden: Float[Tensor, "batch d_hidden"], features: Features = ALL_FEATURES
    ) -> Float[Tensor, "batch chosen"]:
        pre = self.pre_activations(hidden, features)
        return torch.where(pre > self.log_threshold[features].exp(), pre, 0.0)

    def rule_pass(self, hidden: Float[Tensor, "batch d_hidden"], carrier: Float[Tensor, " n_features"]) -> TrainingPass:
        weight, bias = self.W_enc, self.b_enc + carrier
        threshold, bandwidth = self.log_threshold.exp(), self.bandwidth
        floor = (threshold - bandwidth / 2).detach()  # below the kernel's window nothing has a gradient
        if is_selection_worthwhile(hidden, weight, bias, floor=floor):
            selected, selection = select_above(hidden, weight, bias, floor=floor)
            pre = attach_encoder(selected, selection, hidden=hidden, weight=weight, bias=bias)
            values, gates = jump(pre, threshold.index_select(0, selection.columns), bandwidth=bandwidth)
            codes = SelectedCodes(values, selection)
        else:
            pre = functional.linear(hidden, weight, bias).to(hidden.dtype)
            values, gates = jump(pre, threshold.expand_as(pre), bandwidth=bandwidth)
            codes = DenseCodes(values)
        return self.pass_of(codes, self.l0_penalty(gates.sum() / codes.n_rows))

    def l0_penalty(self, l0: Float[Tensor, ""]) -> Float[Tensor, ""]:
        """The weighted penalty of a batch's differentiable L0."""
        target, weight = self.config.l0_target, self.config.l0_weight
        if target is None:
            return (L0_WEIGHT if weight is None else weight) * l0
        # The mean over ranks with this rank's gradient, so that the ranks' mean gradient is that of the whole batch.
        l0 = l0 + (self.ranks.mean(l0.detach()) - l0.detach())
        # Above the target the log: a square, far off at the start, drives thresholds up until features stay silent.
        excess = l0 / target
        distance = (excess.clamp(max=1) - 1).square() + excess.clamp(min=1).log().square()
        return (L0_WEIGHT_WITH_TARGET if weight is None else weight) * distance

    def fire_above(self, features: Int[Tensor, " chosen"], level: Float[Tensor, " chosen"]) -> None:
        self.b_enc[features] = self.log_threshold[features].exp() - level

    def revive_rule(
        self,
        features: Int[Tensor, " n_revived"],
        *,
        level: Float[Tensor, " n_revived"],
        height: Float[Tensor, " n_revived"],
    ) -> None:
        initial = self.config.threshold_init / self.input_scale
        # Below the input the feature is revived at, so that it fires there.
        lowered = torch.minimum(initial, height / 2).clamp_min(torch.finfo(height.dtype).tiny)
        self.log_threshold[features] = lowered.log()
        if self.config.start_density is None:
            self.b_enc[features] = -level
        else:
            self.fire_above(features, level)
