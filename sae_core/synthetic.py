"""Activations with known features: sparse codes over a known dictionary."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import torch
import torch.nn.functional as functional
from jaxtyping import Bool, Float, Int
from torch import Tensor

from sae_core.randomness import generator
from sae_core.requirement import require

__all__ = [
    "PlantedDictionary",
    "SyntheticConfig",
    "SyntheticProblem",
    "draw_codes",
    "draw_problem",
    "mean_max_cosine",
    "stack_problems",
]

Activity = Literal["exact", "bernoulli"]
CodeValues = Literal["half_normal", "normal", "exponential", "uniform", "constant"]
Importance = Literal["amplitude", "frequency", "both"]


@dataclass(frozen=True, kw_only=True)
class SyntheticConfig:
    """x = codes @ dictionary + noise. Defaults: base setting of O'Neill et al. (arXiv 2411.13117, section 4).

    Raises ValueError naming the field.
    """

    n_features: int = 16
    """Sources (the paper's N)."""
    d_in: int = 8
    """Measurements (the paper's M)."""
    k: int = 3
    """Active sources per sample; with "bernoulli" the mean, before the hierarchy."""
    activity: Activity = "exact"
    """`exact`: k active sources in every sample; `bernoulli`: each active independently."""
    code_values: CodeValues = "half_normal"
    """Law of an active code: |normal|, normal, exponential of mean 1, uniform on [0, 1), or 1."""
    noise_std: float = 0.0
    """Standard deviation of the Gaussian noise per measurement."""
    importance_exponent: float = 0.0
    """Source i (from 1) has importance i^-exponent."""
    importance_affects: Importance = "amplitude"
    """`amplitude`: codes are scaled by importance (mean 1); `frequency`: activity is proportional to it (`exact`: in
    each draw without replacement; `bernoulli`: at most 1); `both`."""
    correlation: float = 0.0
    """Correlation within a block of the Gaussian copula behind activity; "bernoulli" frequencies stay."""
    correlation_block: int = 4
    """Consecutive sources per block; blocks are independent."""
    n_parents: int = 0
    """First sources that are parents; the others are dealt to them as children, active only with their parent. 0:
    none."""
    n_train: int = 1024
    n_test: int = 1024

    def __post_init__(self) -> None:
        for field in ("n_features", "d_in", "k", "correlation_block", "n_train", "n_test"):
            require(getattr(self, field) >= 1, field, getattr(self, field), "at least 1")
        require(self.k <= self.n_features, "k", self.k, f"at most n_features = {self.n_features}")
        for field, choices in (
            ("activity", get_args(Activity)),
            ("code_values", get_args(CodeValues)),
            ("importance_affects", get_args(Importance)),
        ):
            require(getattr(self, field) in choices, field, getattr(self, field), f"one of {choices}")
        for field in ("noise_std", "importance_exponent"):
            require(getattr(self, field) >= 0, field, getattr(self, field), "0 or more")
        require(0 <= self.correlation < 1, "correlation", self.correlation, "at least 0 and below 1")
        require(
            0 <= self.n_parents < self.n_features,
            "n_parents",
            self.n_parents,
            f"at least 0 and below n_features = {self.n_features}",
        )


class SyntheticProblem(NamedTuple):
    """A ground truth and its samples; `stack_problems` adds a leading problem axis.

    dictionary: [n_features, d_in], unit rows; *_codes: [n_samples, n_features]; *_x: [n_samples, d_in].
    """

    dictionary: Float[Tensor, "*problem n_features d_in"]
    train_codes: Float[Tensor, "*problem n_train n_features"]
    train_x: Float[Tensor, "*problem n_train d_in"]
    test_codes: Float[Tensor, "*problem n_test n_features"]
    test_x: Float[Tensor, "*problem n_test d_in"]


def draw_problem(config: SyntheticConfig, *, seed: int) -> SyntheticProblem:
    """A random dictionary with independent train and test samples; equal arguments give equal tensors."""
    draw = generator(seed, "synthetic", "dictionary")
    dictionary = functional.normalize(torch.randn(config.n_features, config.d_in, generator=draw), dim=1)
    parts: list[Tensor] = [dictionary]
    for part, n_samples in (("train", config.n_train), ("test", config.n_test)):
        codes = draw_codes(config, n_samples=n_samples, draw=generator(seed, "synthetic", part, "codes"))
        noise = torch.randn(n_samples, config.d_in, generator=generator(seed, "synthetic", part, "noise"))
        parts += [codes, codes @ dictionary + config.noise_std * noise]
    return SyntheticProblem(*parts)


def stack_problems(config: SyntheticConfig, seeds: Sequence[int]) -> SyntheticProblem:
    """One problem per seed on a new first axis. Raises ValueError without seeds."""
    if not seeds:
        raise ValueError("seeds = (): give at least one")
    problems = [draw_problem(config, seed=seed) for seed in seeds]
    return SyntheticProblem(*(torch.stack(tensors) for tensors in zip(*problems, strict=True)))


def draw_codes(
    config: SyntheticConfig, *, n_samples: int, draw: torch.Generator
) -> Float[Tensor, "n_samples n_features"]:
    importance = torch.arange(1, config.n_features + 1, dtype=torch.float64) ** -config.importance_exponent
    frequency = importance if config.importance_affects in {"frequency", "both"} else torch.ones_like(importance)
    ranks = _correlated_uniforms(config, n_samples=n_samples, draw=draw)
    is_active = (
        _exactly_k(config, ranks, frequency) if config.activity == "exact" else _bernoulli(config, ranks, frequency)
    )
    values = _code_values(config.code_values, (n_samples, config.n_features), draw=draw)
    if config.importance_affects in {"amplitude", "both"}:
        values = values * (importance / importance.mean()).float()
    return values * is_active


def _correlated_uniforms(
    config: SyntheticConfig, *, n_samples: int, draw: torch.Generator
) -> Float[Tensor, "n_samples n_features"]:
    n_features = config.n_features
    own = torch.randn(n_samples, n_features, generator=draw, dtype=torch.float64)
    if config.correlation > 0:
        n_blocks = -(-n_features // config.correlation_block)
        shared = torch.randn(n_samples, n_blocks, generator=draw, dtype=torch.float64)
        of_feature = shared.repeat_interleave(config.correlation_block, dim=1)[:, :n_features]
        own = config.correlation**0.5 * of_feature + (1 - config.correlation) ** 0.5 * own
    return torch.special.ndtr(own).clamp(1e-15, 1 - 1e-15)


def _parents(config: SyntheticConfig) -> Int[Tensor, " n_features"]:
    sources = torch.arange(config.n_features)
    return torch.where(sources < config.n_parents, sources, sources % max(1, config.n_parents))  # a parent is its own


def _exactly_k(
    config: SyntheticConfig, ranks: Float[Tensor, "n_samples n_features"], frequency: Float[Tensor, " n_features"]
) -> Bool[Tensor, "n_samples n_features"]:
    # The k largest Gumbel keys are a draw without replacement in proportion to `frequency`.
    keys = frequency.log() - (-ranks.log()).log()
    is_active = torch.zeros_like(keys, dtype=torch.bool)
    if config.n_parents == 0:
        return is_active.scatter(1, keys.topk(config.k, dim=1).indices, True)
    parents = _parents(config)
    is_parent = parents == torch.arange(config.n_features)
    for _ in range(config.k):
        is_open = (is_parent | is_active[:, parents]) & ~is_active
        chosen = keys.masked_fill(~is_open, -torch.inf).argmax(dim=1, keepdim=True)
        is_active = is_active.scatter(1, chosen, True)
    return is_active


def _bernoulli(
    config: SyntheticConfig, ranks: Float[Tensor, "n_samples n_features"], frequency: Float[Tensor, " n_features"]
) -> Bool[Tensor, "n_samples n_features"]:
    is_active = ranks < (config.k * frequency / frequency.sum()).clamp(max=1.0)
    return is_active & is_active[:, _parents(config)] if config.n_parents else is_active


def _code_values(
    law: CodeValues, shape: tuple[int, int], *, draw: torch.Generator
) -> Float[Tensor, "n_samples n_features"]:
    if law == "half_normal":
        return torch.randn(shape, generator=draw).abs()
    if law == "normal":
        return torch.randn(shape, generator=draw)
    if law == "uniform":
        return torch.rand(shape, generator=draw)
    if law == "exponential":
        return torch.empty(shape).exponential_(generator=draw)
    return torch.ones(shape)


@dataclass(frozen=True)
class PlantedDictionary:
    """x = offset + scale * codes @ directions, with k of n_features active per row and |normal| codes."""

    directions: Float[Tensor, "n_features d_in"]
    offset: Float[Tensor, " d_in"]
    k: int
    scale: float = 1.0

    @classmethod
    def draw(
        cls, *, n_features: int, d_in: int, k: int, seed: int, scale: float = 1.0, offset_norm: float = 0.0
    ) -> PlantedDictionary:
        """Random unit directions and a random offset of the given norm."""
        draw = generator(seed, "planted")
        directions = functional.normalize(torch.randn(n_features, d_in, generator=draw), dim=1)
        offset = functional.normalize(torch.randn(d_in, generator=draw), dim=0) * offset_norm
        return cls(directions, offset, k, scale)

    def codes(self, n_rows: int, *, seed: int) -> Float[Tensor, "n_rows n_features"]:
        draw = generator(seed, "codes")
        n_features = self.directions.shape[0]
        active = torch.rand(n_rows, n_features, generator=draw).topk(self.k, dim=1).indices
        values = torch.randn(n_rows, self.k, generator=draw).abs()
        return torch.zeros(n_rows, n_features).scatter(1, active, values)

    def activations(self, codes: Float[Tensor, "n_rows n_features"]) -> Float[Tensor, "n_rows d_in"]:
        return self.offset + self.scale * codes @ self.directions

    def iter_batches(self, n_batches: int, *, batch_tokens: int, seed: int) -> Iterator[Float[Tensor, "batch d_in"]]:
        for i in range(n_batches):
            yield self.activations(self.codes(batch_tokens, seed=seed * 1_000_003 + i))


def mean_max_cosine(found: Float[Tensor, "n_found d_in"], planted: Float[Tensor, "n_planted d_in"]) -> float:
    """Mean over planted directions of the largest cosine with a found one (MMCS of Sharkey et al. 2022)."""
    cosines = functional.normalize(planted, dim=1) @ functional.normalize(found, dim=1).T
    return float(cosines.max(dim=1).values.mean())
