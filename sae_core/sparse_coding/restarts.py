"""Sparse coding by several chains per problem, kicked out of local optima and compared by TRAINING OBJECTIVE alone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from sae_core.flops import fista_flops, least_squares_flops
from sae_core.inference.proximal import fista
from sae_core.randomness import generator
from sae_core.requirement import require
from sae_core.sparse_coding.alternating import (
    CodedDictionary,
    alternate,
    draw_samples,
    lasso_objective,
    sample_objectives,
)

__all__ = ["RestartConfig", "RestartedFit", "fit_with_restarts", "infer_codes"]


@dataclass(frozen=True, kw_only=True)
class RestartConfig:
    """Effort of the search. L1 weights are relative to the samples' mean norm. Raises ValueError naming the field."""

    n_features: int
    n_chains: int = 8
    """Chains per problem, each with its own start."""
    n_turns: int = 60
    """Turns (codes, then directions) of a chain from l1_start to l1_search."""
    n_rounds: int = 12
    """Most kicks per chain."""
    n_kicked: int = 1
    """Directions replaced per kick."""
    n_kick_turns: int = 20
    n_polish_turns: int = 100
    """Turns of the best chain from l1_search to l1_final."""
    n_code_steps: int = 10
    l1_start: float = 0.3
    """First L1 weight; large weights leave few optima."""
    l1_search: float = 0.06
    """L1 weight of kicks and comparisons."""
    l1_final: float = 0.006
    """Last L1 weight; small weights bias directions less."""
    n_agreeing: int = 3
    """Chains at the same best objective that end the search; 0: all rounds run."""
    agreement: float = 3e-4
    """Relative difference of equal objectives."""
    is_non_negative: bool = True

    def __post_init__(self) -> None:
        for field in (
            "n_features",
            "n_chains",
            "n_turns",
            "n_kicked",
            "n_kick_turns",
            "n_polish_turns",
            "n_code_steps",
        ):
            require(getattr(self, field) >= 1, field, getattr(self, field), "at least 1")
        require(self.n_kicked <= self.n_features, "n_kicked", self.n_kicked, f"at most n_features = {self.n_features}")
        for field in ("n_rounds", "n_agreeing", "agreement"):
            require(getattr(self, field) >= 0, field, getattr(self, field), "0 or more")
        for field in ("l1_start", "l1_search", "l1_final"):
            require(getattr(self, field) > 0, field, getattr(self, field), "above 0")


class RestartedFit(NamedTuple):
    """The best chain of each problem."""

    directions: Float[Tensor, "*problem n_features d_in"]  # unit norm
    codes: Float[Tensor, "*problem n_samples n_features"]  # of the training samples, at l1_final
    unit: Float[Tensor, "*problem"]  # the samples' mean norm
    chain_objectives: Float[Tensor, "*problem n_chains"]  # at l1_search, in units of `unit`
    n_rounds: Int[Tensor, "*problem"]  # kicks per chain
    training_flops: int  # of all problems and chains


@torch.no_grad()
def fit_with_restarts(x: Float[Tensor, "*problem n_samples d_in"], config: RestartConfig, *, seed: int) -> RestartedFit:
    """Directions and codes of each problem; equal arguments give equal fits.

    Problems share one random stream, so a problem's fit depends on those beside it. Raises ValueError for samples all 0
    or not finite.
    """
    problems = x.reshape(-1, *x.shape[-2:])
    unit = problems.norm(dim=-1).mean(dim=-1)
    if not bool((torch.isfinite(unit) & (unit > 0)).all()):
        raise ValueError(f"the samples' mean norms are {unit.tolist()}: each must be finite and above 0")
    search = _Search(problems / unit[:, None, None], config, draw=generator(seed, "restarts"))
    search.run()
    best = search.polish()
    leading = x.shape[:-2]
    return RestartedFit(
        directions=best.directions.reshape(*leading, config.n_features, x.shape[-1]),
        codes=(best.codes * unit[:, None, None]).reshape(*x.shape[:-1], config.n_features),
        unit=unit.reshape(leading),
        chain_objectives=search.objectives.reshape(*leading, config.n_chains),
        n_rounds=search.n_rounds.reshape(leading),
        training_flops=search.flops,
    )


class _Search:
    """The chains of every problem: [problem, chain, ...]. Samples have mean norm 1."""

    def __init__(
        self, x: Float[Tensor, "problem n_samples d_in"], config: RestartConfig, *, draw: torch.Generator
    ) -> None:
        self.x = x
        self.config = config
        self.draw = draw
        self.flops = 0
        self.n_rounds = torch.zeros(x.shape[0], dtype=torch.int64, device=x.device)
        chains = self._per_chain(torch.arange(x.shape[0], device=x.device))
        starts = draw_samples(chains, torch.ones_like(chains[..., 0]), n_drawn=config.n_features, draw=draw)
        weights = _falling(config.l1_start, config.l1_search, config.n_turns)
        self.chains = self._alternate(chains, starts, weights, revival=draw)
        self.objectives = lasso_objective(chains, self.chains, l1_weight=config.l1_search)

    def run(self) -> None:
        for _ in range(self.config.n_rounds):
            open_problems = (~self._is_settled()).nonzero()[:, 0]
            if open_problems.numel() == 0:
                return
            self._kick(open_problems)
            self.n_rounds[open_problems] += 1

    def polish(self) -> CodedDictionary:
        problems, best = torch.arange(self.x.shape[0], device=self.x.device), self.objectives.argmin(dim=1)
        weights = _falling(self.config.l1_search, self.config.l1_final, self.config.n_polish_turns)
        chosen = CodedDictionary(self.chains.directions[problems, best], self.chains.codes[problems, best])
        return self._alternate(self.x, chosen.directions, weights, codes=chosen.codes)

    def _kick(self, problems: Int[Tensor, " n_open"]) -> None:
        config, x = self.config, self._per_chain(problems)
        before = CodedDictionary(self.chains.directions[problems], self.chains.codes[problems])
        kicked = self._alternate(x, self._kicked(x, before), [config.l1_search] * config.n_kick_turns)
        objectives = lasso_objective(x, kicked, l1_weight=config.l1_search)
        is_better = objectives < self.objectives[problems]
        self.objectives[problems] = torch.where(is_better, objectives, self.objectives[problems])
        for kept, new in zip(self.chains, kicked, strict=True):
            kept[problems] = torch.where(is_better[..., None, None], new, kept[problems])

    def _kicked(self, x: Tensor, before: CodedDictionary) -> Float[Tensor, "n_open n_chains n_features d_in"]:
        norms = x.norm(dim=-1).clamp_min(1e-6)
        # A sample along a direction costs about l1 * norm; the excess says how badly it is covered.
        cost = sample_objectives(x, before, l1_weight=self.config.l1_search) / norms - self.config.l1_search
        seeds = draw_samples(x, cost.clamp_min(0).square() + 1e-12, n_drawn=self.config.n_kicked, draw=self.draw)
        use = before.codes.abs().sum(dim=-2).double() + 1e-6
        flat = use.reshape(-1, use.shape[-1]).square().reciprocal().cpu()
        # Directions of little use go: drawn in proportion to 1 / (sum of their codes)^2.
        going = torch.multinomial(flat, self.config.n_kicked, generator=self.draw).to(x.device)
        index = going.reshape(*use.shape[:-1], self.config.n_kicked, 1).expand_as(seeds)
        return before.directions.scatter(-2, index, seeds)

    def _is_settled(self) -> Tensor:
        if self.config.n_agreeing == 0:
            return torch.zeros_like(self.n_rounds, dtype=torch.bool)
        best = self.objectives.amin(dim=1, keepdim=True)
        n_agreeing = (self.objectives <= best * (1 + self.config.agreement)).sum(dim=1)
        return n_agreeing >= self.config.n_agreeing

    def _per_chain(self, problems: Int[Tensor, " n_open"]) -> Float[Tensor, "n_open n_chains n_samples d_in"]:
        return self.x[problems, None].expand(-1, self.config.n_chains, -1, -1)

    def _alternate(
        self,
        x: Tensor,
        directions: Tensor,
        l1_weights: list[float],
        *,
        codes: Tensor | None = None,
        revival: torch.Generator | None = None,
    ) -> CodedDictionary:
        config = self.config
        n_rows, d_in = x.shape[-2:]
        codes_flops = fista_flops(n_rows=n_rows, d_in=d_in, n_features=config.n_features, n_steps=config.n_code_steps)
        turn = codes_flops + least_squares_flops(n_rows=n_rows, d_in=d_in, n_features=config.n_features)
        self.flops += x.shape[:-2].numel() * len(l1_weights) * turn
        return alternate(
            x,
            directions,
            l1_weights=l1_weights,
            n_code_steps=config.n_code_steps,
            codes=codes,
            is_non_negative=config.is_non_negative,
            revival=revival,
        )


def _falling(first: float, last: float, n_turns: int) -> list[float]:
    return torch.logspace(math.log10(first), math.log10(last), n_turns, dtype=torch.float64).tolist()


@torch.no_grad()
def infer_codes(
    x: Float[Tensor, "*problem n_samples d_in"],
    fit: RestartedFit,
    *,
    l1_weight: float = 0.002,
    n_steps: int = 500,
    is_non_negative: bool = True,
) -> Float[Tensor, "*problem n_samples n_features"]:
    """Codes of new samples by FISTA; `l1_weight` is relative to the training samples' mean norm."""
    scale = fit.unit[..., None, None]
    codes = fista(x / scale, fit.directions, l1_weight=l1_weight, n_steps=n_steps, is_non_negative=is_non_negative)
    return codes * scale
