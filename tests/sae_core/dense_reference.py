"""The encoders' codes and the whole objective written plainly with dense autograd, to hold the fast paths against.

Every rule is spelled out here from its formula; nothing of the dictionaries is called, only their tensors are read.
"""

from __future__ import annotations

import math
import sys

import pytest
import torch
from torch import Tensor, nn

from sae_core.build import build_dictionary
from sae_core.config import DictionaryConfig, TrainingConfig
from sae_core.encoder import EncoderDictionary

N_FEATURES = 40

CONFIGS: dict[str, DictionaryConfig] = {
    "relu": DictionaryConfig(kind="relu", n_features=N_FEATURES),
    "relu_tied": DictionaryConfig(kind="relu", n_features=N_FEATURES, is_tied=True),
    "topk": DictionaryConfig(kind="topk", n_features=N_FEATURES, k=4),
    "batchtopk": DictionaryConfig(kind="batchtopk", n_features=N_FEATURES, k=4),
    "abstopk": DictionaryConfig(kind="abstopk", n_features=N_FEATURES, k=4),
    "jumprelu": DictionaryConfig(kind="jumprelu", n_features=N_FEATURES, bandwidth=0.3, threshold_init=0.4),
    "jumprelu_target": DictionaryConfig(kind="jumprelu", n_features=N_FEATURES, bandwidth=0.5, l0_target=6.0),
    "gated": DictionaryConfig(kind="gated", n_features=N_FEATURES),
    "prolu": DictionaryConfig(kind="prolu", n_features=N_FEATURES),
    "matryoshka": DictionaryConfig(kind="matryoshka", n_features=N_FEATURES, k=4, prefixes=(3, 10, N_FEATURES)),
    "mlp": DictionaryConfig(kind="mlp", n_features=N_FEATURES, hidden=(20, 16)),
    "mlp_topk": DictionaryConfig(kind="mlp", n_features=N_FEATURES, hidden=(20,), output="topk", k=4),
    "mlp_jumprelu": DictionaryConfig(kind="mlp", n_features=N_FEATURES, hidden=(20,), output="jumprelu"),
}
"""Every trained kind with an encoder, and its variants."""

LAYERED = {"mlp", "mlp_topk", "mlp_jumprelu"}


def build(config: DictionaryConfig, *, d_in: int = 12, seed: int = 3) -> EncoderDictionary:
    """A dictionary over activations around 2 of size 4, with every parameter moved off its start."""
    draw = torch.Generator().manual_seed(seed)
    sample = 4 * torch.randn(200, d_in, generator=draw) + 2
    dictionary = build_dictionary(config, d_in=d_in, seed=0, sample=sample)
    assert isinstance(dictionary, EncoderDictionary)
    with torch.no_grad():
        for parameter in dictionary.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=draw))
    return dictionary


def take_device_paths(patch: pytest.MonkeyPatch) -> None:
    """Have tensors on the CPU treated as those on a GPU are."""
    for name, module in list(sys.modules.items()):
        if name.startswith("sae_core.") and hasattr(module, "is_on_host"):
            patch.setattr(module, "is_on_host", lambda _: False)


def batch(n_rows: int = 30, d_in: int = 12, *, seed: int = 7) -> Tensor:
    """Activations of the kind `build` expects."""
    return 4 * torch.randn(n_rows, d_in, generator=torch.Generator().manual_seed(seed)) + 2


def rule_of(config: DictionaryConfig) -> str:
    return config.output if config.kind == "mlp" else config.kind


def dense_hidden(parameters: dict[str, Tensor], x: Tensor, *, is_bias_trained: bool = True) -> Tensor:
    hidden = x - (parameters["b_dec"] if is_bias_trained else parameters["b_dec"].detach())
    for i in range(sum(name.endswith("W_hidden") for name in parameters)):
        weight, bias = parameters[f"layers.{i}.W_hidden"], parameters[f"layers.{i}.b_hidden"]
        hidden = (hidden @ weight.T + bias) * (hidden @ weight.T + bias > 0)
    return hidden


def dense_code(dictionary: EncoderDictionary, x: Tensor, *, k: int | None = None) -> Tensor:
    """Codes of training, with their gradients; k: how many are kept instead of `config.k`."""
    return _codes_and_steps(dictionary, x, k=k)[0]


def _codes_and_steps(dictionary: EncoderDictionary, x: Tensor, *, k: int | None = None) -> tuple[Tensor, Tensor]:
    config, p = dictionary.config, dict(dictionary.named_parameters(remove_duplicate=False))
    rule, k = rule_of(config), config.k if k is None else k
    product = dense_hidden(p, x) @ p["W_enc"].T
    if rule == "gated":
        is_open = product + p["b_gate"] > 0
        magnitude = product * p["r_mag"].exp() + p["b_mag"]
        return magnitude * (magnitude > 0) * is_open, is_open
    pre = product + p["b_enc"]
    if rule == "relu":
        return pre * (pre > 0), pre > 0
    if rule == "prolu":
        is_on = ((product > 0) & (pre > 0)).to(x.dtype)
        return is_on * (product + p["b_enc"] - p["b_enc"].detach()), is_on
    if rule == "jumprelu":
        theta, width = p["log_threshold"].exp(), config.bandwidth / float(dictionary.input_scale)
        step = (pre > theta).to(x.dtype).detach()
        kernel = ((pre - theta).abs() < width / 2).to(x.dtype).detach() / width
        moved = theta - theta.detach()  # 0, with theta's gradient
        return pre * step - kernel * theta.detach() * moved, step - kernel * moved
    score = pre.abs() if rule == "abstopk" else pre
    if rule in {"batchtopk", "matryoshka"}:
        keep = torch.zeros_like(pre).view(-1).scatter(0, score.view(-1).topk(k * len(x)).indices, 1.0).view_as(pre)
    else:
        keep = torch.zeros_like(pre).scatter(1, score.topk(k, dim=1).indices, 1.0)
    keep = keep if rule == "abstopk" else keep * (pre > 0)
    return pre * keep, keep


def dense_objective(
    dictionary: EncoderDictionary, x: Tensor, *, config: TrainingConfig, penalty_share: float, dead: Tensor
) -> Tensor:
    """The loss that training minimises, of a dictionary in training mode."""
    p, what = dict(dictionary.named_parameters(remove_duplicate=False)), dictionary.config
    rule, scale = rule_of(what), float(dictionary.input_scale)
    code, steps = _codes_and_steps(dictionary, x)

    def loss_of(reconstruction: Tensor) -> Tensor:
        squared = (x - reconstruction).square()
        if config.loss == "mse":
            return (squared * scale**2).mean()
        return squared.sum() / (x - x.mean(dim=0)).square().sum().clamp_min(1e-12)

    reconstruction = code @ p["W_dec"] + p["b_dec"]
    loss = loss_of(reconstruction)
    if rule == "matryoshka":
        shorter = [loss_of(code[:, :n] @ p["W_dec"][:n] + p["b_dec"]) for n in what.prefixes[:-1]]
        loss = (loss + sum(shorter)) / len(what.prefixes)
    if rule in {"relu", "gated", "prolu"}:
        penalised = code
        if rule == "gated":
            gate = dense_hidden(p, x) @ p["W_enc"].T + p["b_gate"]
            penalised = gate * (gate > 0)
            loss = loss + loss_of(penalised @ p["W_dec"].detach() + p["b_dec"].detach())
        weight = what.l1_weight * scale / math.sqrt(x.shape[1])
        if what.l0_target is not None:
            excess = float((code != 0).sum(dim=1).double().mean().clamp_min(1e-3)) / what.l0_target
            weight *= min(excess, math.e)
        loss = loss + penalty_share * weight * penalised.sum(dim=1).mean()
    if rule == "jumprelu":
        l0 = steps.sum(dim=1).mean()
        penalty = 0.001 * l0
        if what.l0_target is not None:
            excess = l0 / what.l0_target
            penalty = (excess - 1) ** 2 if excess < 1 else excess.log() ** 2
        loss = loss + penalty_share * penalty
    if what.is_topk and what.auxk_weight > 0 and dead.numel():
        loss = loss + what.auxk_weight * _auxk(p, x, reconstruction, dead, what)
    return loss


def _auxk(p: dict[str, Tensor], x: Tensor, reconstruction: Tensor, dead: Tensor, config: DictionaryConfig) -> Tensor:
    residual = (x - reconstruction).detach()
    pre = dense_hidden(p, x).detach() @ p["W_enc"][dead].T + p["b_enc"][dead]
    code = pre if config.kind == "abstopk" else pre * (pre > 0)
    n_kept = min(config.auxk or max(1, x.shape[1] // 2), len(dead))
    keep = torch.zeros_like(code).scatter(1, code.abs().topk(n_kept, dim=1).indices, 1.0)
    error = (code * keep) @ p["W_dec"][dead] - residual
    return error.square().sum() / (residual - residual.mean(dim=0)).square().sum().clamp_min(1e-12)


def gradients(module: nn.Module, loss: Tensor) -> dict[str, Tensor]:
    """The loss's gradient for every parameter; zeros where it has none."""
    names, parameters = zip(*module.named_parameters(), strict=True)
    found = torch.autograd.grad(loss, parameters, allow_unused=True)
    return {
        name: torch.zeros_like(parameter) if gradient is None else gradient
        for name, parameter, gradient in zip(names, parameters, found, strict=True)
    }


def relative_error(found: Tensor, wanted: Tensor) -> float:
    """Norm of the difference over the norm of what is wanted (0 when both are 0)."""
    difference, norm = float((found - wanted).detach().norm()), float(wanted.detach().norm())
    return 0.0 if difference == 0 else difference / max(norm, 1e-30)
