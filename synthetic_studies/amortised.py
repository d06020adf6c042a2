"""Encoders trained on many small problems at once: one Adam loop over a stack, with gradients written out.

At this size (8 to 32 measurements, 1,024 samples) a step of autograd is mostly overhead. A stack of one equals
`sae_core.training` on a ReLU, TopK or MLP dictionary. Scenarios: O'Neill, Gumran and Klindt (arXiv 2411.13117, section
4).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as functional
from jaxtyping import Float
from torch import Tensor

from sae_core.randomness import generator

__all__ = ["EncoderConfig", "EncoderStack", "Initialisation", "Scenario", "train_stack"]

PUBLISHED_SEED_SHIFT = 42
"""The published code adds it to a run's seed before it draws weights."""

Scenario = Literal["codes", "dictionary", "unknown"]
"""What is known: the codes, the dictionary, or neither."""

Initialisation = Literal["uniform", "decoder", "published"]


@dataclass(frozen=True, kw_only=True)
class EncoderConfig:
    """One encoder over a linear decoder: f = ReLU(W_enc h + b_enc), x_hat = f W_dec + b_dec.

    hidden: width of a hidden ReLU layer (MLP); None: h = x - b_dec (SAE). k: number of pre-activations kept. has_bias:
    train biases, else 0. initialisation: `uniform` U(-1, 1) / sqrt(fan-in), as published; `decoder` along the decoder
    at norm 0.3, as sae_core; `published` as uniform, drawn as the published code draws them for a seed.
    """

    d_in: int
    n_features: int
    hidden: int | None = None
    k: int | None = None
    has_bias: bool = False
    initialisation: Initialisation = "uniform"


class EncoderStack:
    """Encoders and decoders of a stack of problems, with gradients and buffers.

    `parameters`, with a leading problem axis: W_hidden [problem, hidden, d_in] and b_hidden (MLP only), W_enc [problem,
    n_features, d_hidden], b_enc, W_dec [problem, n_features, d_in], b_dec.
    """

    def __init__(
        self,
        config: EncoderConfig,
        *,
        seeds: Sequence[int],
        directions: Float[Tensor, "problem n_features d_in"] | None = None,
    ) -> None:
        """One problem per seed; `directions` fixes the decoders, else they are random."""
        self.config = config
        self.n_problems = len(seeds)
        draw = _draw_published if config.initialisation == "published" else _draw
        drawn = [draw(config, seed) for seed in seeds]
        self.parameters: dict[str, Tensor] = {name: torch.stack([one[name] for one in drawn]) for name in drawn[0]}
        if directions is not None:
            self.parameters["W_dec"] = directions.clone()
        if config.initialisation == "decoder" and config.hidden is None:
            self.parameters["W_enc"] = self.parameters["W_dec"] * 0.3
        for parameter in self.parameters.values():
            parameter.grad = torch.zeros_like(parameter)
        self._buffers: dict[str, Tensor] = {}

    @property
    def directions(self) -> Float[Tensor, "problem n_features d_in"]:
        return self.parameters["W_dec"]

    @torch.no_grad()
    def encode(self, x: Float[Tensor, "problem batch d_in"]) -> Float[Tensor, "problem batch n_features"]:
        """Codes of held-out samples, in fresh memory."""
        weights = self.parameters
        h = x - weights["b_dec"][:, None]
        if self.config.hidden is not None:
            h = torch.relu(h @ weights["W_hidden"].mT + weights["b_hidden"][:, None])
        return self._activate(h @ weights["W_enc"].mT + weights["b_enc"][:, None])

    def trained(self, scenario: Scenario) -> list[Tensor]:
        """The parameters that a scenario trains."""
        names = ["W_enc", *(["W_hidden"] if self.config.hidden is not None else [])]
        if self.config.has_bias:
            names += ["b_enc", *(["b_hidden"] if self.config.hidden is not None else [])]
        if scenario == "unknown":
            names += ["W_dec", *(["b_dec"] if self.config.has_bias else [])]
        return [self.parameters[name] for name in names]

    @torch.no_grad()
    def step_gradients(
        self,
        x: Float[Tensor, "problem batch d_in"],
        *,
        scenario: Scenario,
        l1_weights: Float[Tensor, " problem"],
        codes: Float[Tensor, "problem batch n_features"] | None = None,
    ) -> None:
        """Write the gradients of the summed losses: MSE + l1_weight * mean |code|, or minus the mean cosine to
        `codes`."""
        weights = self.parameters
        centred = torch.sub(x, weights["b_dec"][:, None], out=self._buffer("centred", x.shape))
        h = centred
        if self.config.hidden is not None:
            h = self._linear("hidden", centred, weights["W_hidden"], weights["b_hidden"]).relu_()
        learnt = self._linear("codes", h, weights["W_enc"], weights["b_enc"])
        learnt = learnt.relu_() if self.config.k is None else learnt.copy_(self._activate(learnt))
        slope = self._buffer("slope", learnt.shape)
        if codes is not None:
            _cosine_slope(learnt, codes, out=slope)
        else:
            self._reconstruction_slope(x, learnt, l1_weights=l1_weights, is_learnt=scenario == "unknown", out=slope)
        # The gradient passes where a code is above 0: through the ReLU and, with k, through the chosen ones only.
        slope = torch.ops.aten.threshold_backward.grad_input(slope, learnt, 0, grad_input=slope)
        self._encoder_gradients(centred, h, slope, is_offset_learnt=scenario == "unknown")

    def _reconstruction_slope(
        self, x: Tensor, found: Tensor, *, l1_weights: Tensor, is_learnt: bool, out: Tensor
    ) -> None:
        """Write d loss / d codes into `out`, and the decoder's gradients."""
        n_rows, d_in = x.shape[1:]
        weights = self.parameters
        error = self._linear("error", found, weights["W_dec"].mT, weights["b_dec"]).sub_(x).mul_(2 / (n_rows * d_in))
        torch.bmm(error, weights["W_dec"].mT, out=out)
        out.add_((l1_weights / (n_rows * found.shape[2]))[:, None, None])
        if is_learnt:
            torch.bmm(found.mT, error, out=weights["W_dec"].grad)
            if self.config.has_bias:
                torch.sum(error, dim=1, out=weights["b_dec"].grad)

    def _encoder_gradients(self, centred: Tensor, h: Tensor, slope: Tensor, *, is_offset_learnt: bool) -> None:
        weights, has_bias = self.parameters, self.config.has_bias
        torch.bmm(slope.mT, h, out=weights["W_enc"].grad)
        if has_bias:
            torch.sum(slope, dim=1, out=weights["b_enc"].grad)
        first = "enc"
        if self.config.hidden is not None:
            first = "hidden"
            slope = torch.bmm(slope, weights["W_enc"], out=self._buffer("hidden slope", h.shape))
            slope = torch.ops.aten.threshold_backward.grad_input(slope, h, 0, grad_input=slope)
            torch.bmm(slope.mT, centred, out=weights["W_hidden"].grad)
            if has_bias:
                torch.sum(slope, dim=1, out=weights["b_hidden"].grad)
        if has_bias and is_offset_learnt:
            # The first layer reads x - b_dec, so its bias's gradient reaches b_dec through the weights.
            below, above = weights["b_dec"].grad, weights[f"b_{first}"].grad
            assert below is not None and above is not None
            below.sub_((above[:, None] @ weights[f"W_{first}"])[:, 0])

    def _activate(self, pre: Tensor) -> Tensor:
        if self.config.k is None:
            return torch.relu(pre)
        values, columns = pre.topk(self.config.k, dim=-1, sorted=False)
        return torch.zeros_like(pre).scatter_(-1, columns, torch.relu(values))

    def _linear(self, name: str, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        out = torch.bmm(x, weight.mT, out=self._buffer(name, (*x.shape[:2], weight.shape[1])))
        return out.add_(bias[:, None]) if self.config.has_bias else out

    def _buffer(self, name: str, shape: Sequence[int]) -> Tensor:
        held = self._buffers.get(name)
        if held is None or tuple(held.shape) != tuple(shape):
            held = self._buffers[name] = torch.empty(tuple(shape), dtype=self.parameters["W_enc"].dtype)
        return held


def train_stack(
    stack: EncoderStack,
    x: Float[Tensor, "problem batch d_in"],
    *,
    scenario: Scenario,
    n_steps: int,
    codes: Float[Tensor, "problem batch n_features"] | None = None,
    learning_rate: float = 1e-3,
    l1_weights: float | Sequence[float] = 0.01,
    is_gradient_projected: bool = True,
    has_unit_norms: bool = True,
    record_at: Iterable[int] = (),
    on_record: Callable[[int], None] | None = None,
    on_step: Callable[[int], None] | None = None,
) -> None:
    """Full-batch Adam in place; directions keep norm 1, unless `has_unit_norms` is false.

    l1_weights: of mean |code|, one or one per problem. is_gradient_projected: remove a direction's gradient along
    itself, as sae_core does (Bricken et al. 2023); the published code does not. `on_record` is called at the steps in
    `record_at` (0: before the first), `on_step` about a hundred times. Raises ValueError for codes missing or unused.
    """
    if (scenario == "codes") != (codes is not None):
        raise ValueError(f"scenario {scenario!r} {'needs' if scenario == 'codes' else 'takes no'} codes")
    given = [l1_weights] * stack.n_problems if isinstance(l1_weights, (int, float)) else list(l1_weights)
    weights = torch.tensor(given, dtype=x.dtype)
    optimiser = torch.optim.Adam(stack.trained(scenario), lr=learning_rate, fused=True)
    marks, every = frozenset(record_at), max(1, n_steps // 100)
    for step in range(n_steps + 1):
        if step in marks and on_record is not None:
            on_record(step)
        if step % every == 0 and on_step is not None:
            on_step(step)
        if step < n_steps:
            stack.step_gradients(x, scenario=scenario, l1_weights=weights, codes=codes)
            if scenario == "unknown" and has_unit_norms:
                _step_on_the_sphere(optimiser, stack.directions, is_projected=is_gradient_projected)
            else:
                optimiser.step()


@torch.no_grad()
def _step_on_the_sphere(optimiser: torch.optim.Adam, directions: Tensor, *, is_projected: bool) -> None:
    if is_projected and directions.grad is not None:
        directions.grad.sub_((directions.grad * directions).sum(dim=-1, keepdim=True) * directions)
    optimiser.step()
    directions.div_(directions.norm(dim=-1, keepdim=True).clamp_min(1e-12))


def _cosine_slope(found: Tensor, codes: Tensor, *, out: Tensor) -> None:
    """d loss / d found of loss = -(mean over features of the cosine, over samples, of found and true codes)."""
    norms = found.norm(dim=1, keepdim=True).clamp_min(1e-8)
    true_norms = codes.norm(dim=1, keepdim=True).clamp_min(1e-8)
    cosines = torch.mul(found, codes, out=out).sum(dim=1, keepdim=True) / (norms * true_norms)
    torch.mul(found, cosines / norms.square(), out=out)
    out.addcmul_(codes, 1 / (norms * true_norms), value=-1).div_(codes.shape[2])


def _draw(config: EncoderConfig, seed: int) -> dict[str, Tensor]:
    """Initial parameters of one problem."""
    draw = generator(seed, "encoder stack")

    def uniform(fan_in: int, *shape: int) -> Tensor:
        return (torch.rand(*shape, generator=draw) * 2 - 1) / math.sqrt(fan_in)

    d_in, n_features, hidden = config.d_in, config.n_features, config.hidden
    directions = functional.normalize(torch.randn(n_features, d_in, generator=draw), dim=1)
    weights = {"W_dec": directions, "b_dec": torch.zeros(d_in)}
    if hidden is not None:
        weights["W_hidden"], weights["b_hidden"] = uniform(d_in, hidden, d_in), uniform(d_in, hidden)
    width = hidden or d_in
    weights["W_enc"], weights["b_enc"] = uniform(width, n_features, width), uniform(width, n_features)
    if not config.has_bias:
        weights |= {name: torch.zeros_like(value) for name, value in weights.items() if name.startswith("b_")}
    return weights


def _draw_published(config: EncoderConfig, seed: int) -> dict[str, Tensor]:
    """Initial parameters as the published code draws them: torch's own linear layers in turn from one generator, the
    decoder's weights drawn twice. Biases are drawn where there are any, which moves all that follows.
    """
    draw = torch.Generator().manual_seed(seed + PUBLISHED_SEED_SHIFT)

    def layer(n_out: int, n_in: int) -> tuple[Tensor, Tensor]:
        reach = 1 / math.sqrt(n_in)
        weight, bias = torch.empty(n_out, n_in), torch.zeros(n_out)
        for each in (weight, bias) if config.has_bias else (weight,):
            each.uniform_(-reach, reach, generator=draw)
        return weight, bias

    d_in, n_features, hidden = config.d_in, config.n_features, config.hidden
    weights = {}
    if hidden is not None:
        weights["W_hidden"], weights["b_hidden"] = layer(hidden, d_in)
    weights["W_enc"], weights["b_enc"] = layer(n_features, hidden or d_in)
    _, weights["b_dec"] = layer(d_in, n_features)
    weights["W_dec"] = functional.normalize(torch.randn(d_in, n_features, generator=draw).T, dim=1)
    return weights
