"""The training of one dictionary."""

from __future__ import annotations

import math
from dataclasses import asdict

import torch
from jaxtyping import Float, Int
from torch import Tensor

from sae_core.config import TrainingConfig
from sae_core.device import is_on_host
from sae_core.distributed import ALONE, Ranks
from sae_core.errors import TrainingDataError
from sae_core.randomness import generator
from sae_core.state import State
from sae_core.trainable import TrainableDictionary, TrainingPass
from sae_core.training.deadness import FiringClock, resample_dead
from sae_core.training.history import StepRecord
from sae_core.training.objective import objective
from sae_core.training.schedule import l1_factor, learning_rate_factor

__all__ = ["DictionaryTrainer"]

DEAD_LIST_EVERY_STEPS = 8
"""Steps between updates of the list of dead features; on a GPU each is a wait."""

LOG_RATE = 5.0
"""Factor of the learning rate for logarithms."""

LOG_BETA2 = 0.99
"""Largest second Adam decay for logarithms. The gradient of an L0 penalty falls by orders of magnitude; a longer memory
would freeze thresholds."""


class DictionaryTrainer:
    """One dictionary with optimiser, clock and records; with several `ranks` all numbers are those of the whole
    batch."""

    def __init__(
        self, name: str, dictionary: TrainableDictionary, config: TrainingConfig, *, ranks: Ranks = ALONE
    ) -> None:
        self.name = name
        self.dictionary = dictionary
        self.config = config
        self.ranks = dictionary.ranks = ranks
        self.scale = float(dictionary.input_scale)
        biases = dictionary.bias_parameters
        logs = dictionary.log_parameters
        weights = [p for p in dictionary.parameters() if all(p is not other for other in (*biases, *logs))]
        self.biases = biases
        parts = [weights, biases, *([logs] if logs else [])]
        groups = [{"params": part, "unit": unit} for part, unit in zip(parts, self._units, strict=False)]
        if logs:
            groups[-1]["betas"] = (config.adam_beta1, min(config.adam_beta2, LOG_BETA2))
        self.optimiser = torch.optim.Adam(
            groups,
            lr=config.learning_rate,
            betas=(config.adam_beta1, config.adam_beta2),
            fused=True,
        )
        self.clock = FiringClock(dictionary.n_features, device=dictionary.W_dec.device)
        self.draw = generator(config.seed, "resample")
        self.dead = torch.zeros(0, dtype=torch.int64, device=dictionary.W_dec.device)
        self.n_steps = 0
        self.n_tokens = 0
        self.n_resampled = 0
        self.history: list[StepRecord] = []

    @property
    def _units(self) -> tuple[float, float, float]:
        # In normalised units a bias is `scale` times as large, so its step here is `scale` times smaller.
        return 1.0, 1.0 / self.scale, LOG_RATE

    @property
    def is_done(self) -> bool:
        return self.n_tokens >= self.config.n_tokens

    def step(self, x: Float[Tensor, "batch d_in"], *, is_recorded: bool) -> None:
        """One optimiser step on a batch, recorded if asked for.

        Raises WidthMismatchError, and TrainingDataError for a loss not finite, before the weights change.
        """
        n_new = x.shape[0] * self.ranks.n
        progress = self.n_tokens / self.config.n_tokens
        self.n_steps += 1
        self.n_tokens += n_new
        # The middle of the step: neither the first nor the last one is wasted on a rate of 0.
        learning_rate = self.config.learning_rate * learning_rate_factor(
            (progress + min(1.0, self.n_tokens / self.config.n_tokens)) / 2, self.config
        )
        self.dictionary.anneal(progress)
        penalty_share = l1_factor(progress, self.config)
        passed, loss = objective(self.dictionary, x, config=self.config, penalty_share=penalty_share, dead=self.dead)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        numbers = torch.stack([loss.detach(), passed.n_active.detach()])
        fired, (loss, n_active) = self.ranks.reduce_step(
            self.dictionary.parameters(), fired=passed.fired, numbers=numbers
        )
        if is_recorded or is_on_host(x):
            self._check_finite(loss)
        self._apply_gradient(learning_rate)
        self.clock.advance(fired, n_tokens=n_new)
        if is_recorded:
            self.history.append(self._record(x, passed, loss, n_active, learning_rate))
        self._keep_alive(x, passed)

    def _check_finite(self, loss: Tensor) -> None:
        value = float(loss)
        if not math.isfinite(value):
            raise TrainingDataError(
                f"{self.name}: loss = {value} at step {self.n_steps} (learning_rate = {self.config.learning_rate}); "
                "lower learning_rate, or check that the activations are finite"
            )

    def _apply_gradient(self, learning_rate: float) -> None:
        self.dictionary.remove_parallel_gradient()
        for bias in self.biases:
            if bias.grad is not None:
                bias.grad.div_(self.scale)
        if self.config.gradient_clip > 0:
            self._clip_gradient(self.config.gradient_clip)
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate * group["unit"]
        self.optimiser.step()
        self.dictionary.normalise_decoder()

    def _clip_gradient(self, largest_norm: float) -> None:
        gradients = [each.grad for each in self.dictionary.parameters() if each.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients, foreach=True)
        # On a CPU a look is cheaper than scaling by 1; on a GPU it would be a wait.
        if not is_on_host(norm) or norm > largest_norm:
            torch.nn.utils.clip_grads_with_norm_(self.dictionary.parameters(), largest_norm, norm, foreach=True)

    def _keep_alive(self, x: Tensor, passed: TrainingPass) -> None:
        every = self.config.resample_every_steps
        is_time = every > 0 and self.n_steps % every == 0
        if is_time and self.n_tokens <= self.config.resample_until_frac * self.config.n_tokens:
            # Every rank draws the same inputs from the rows of all of them.
            revived = resample_dead(
                self.dictionary,
                self.optimiser,
                is_dead=self.clock.is_dead(self.config.dead_after_tokens),
                x=self.ranks.rows(x),
                error=self.ranks.rows((x - passed.reconstruction).detach()),
                draw=self.draw,
            )
            self.ranks.share(self.dictionary.parameters())
            self.clock.restart(revived)
            self.n_resampled += revived.numel()
        if self.n_steps % DEAD_LIST_EVERY_STEPS == 0:
            self.dead = self._dead_features()

    def _dead_features(self) -> Int[Tensor, " n_dead"]:
        return self.clock.is_dead(self.config.dead_after_tokens).nonzero()[:, 0]

    @torch.no_grad()
    def _record(
        self, x: Tensor, passed: TrainingPass, loss: Tensor, n_active: Tensor, learning_rate: float
    ) -> StepRecord:
        squared = (x - passed.reconstruction).square()
        mean = self.ranks.mean
        record = StepRecord(
            step=self.n_steps,
            n_tokens=self.n_tokens,
            loss=float(loss),
            mse=float(mean(squared.mean())),
            fvu=float(mean(squared.sum()) / self.ranks.total_variation(x).clamp_min(1e-12)),
            l0=float(n_active),
            l1=float(mean(passed.code_sum)),
            dead_frac=float(self.clock.is_dead(self.config.dead_after_tokens).float().mean()),
            n_resampled=self.n_resampled,
            learning_rate=learning_rate,
        )
        self.n_resampled = 0
        return record

    def state(self) -> State:
        """Everything a step reads and changes, so that a resumed training is exact."""
        tensors = {f"dictionary/{name}": tensor for name, tensor in self.dictionary.state_dict().items()}
        for i, moments in self.optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser/{i}/{name}": tensor for name, tensor in moments.items()}
        tensors |= {"clock": self.clock.n_silent_tokens, "dead": self.dead, "draw": self.draw.get_state()}
        facts = {
            "n_steps": self.n_steps,
            "n_tokens": self.n_tokens,
            "n_resampled": self.n_resampled,
            "scale": self.scale,
            "is_scale_fitted": self.dictionary.is_scale_fitted,
            "history": [asdict(record) for record in self.history],
        }
        return State(facts, tensors)

    def restore(self, state: State) -> None:
        """Continue from a state of the same configuration. Raises KeyError for a missing part."""
        device = self.dictionary.W_dec.device
        self.dictionary.load_state_dict(
            {name: state.tensors[f"dictionary/{name}"] for name in self.dictionary.state_dict()}
        )
        self.dictionary.is_scale_fitted = state.facts["is_scale_fitted"]
        moments: dict[int, dict[str, Tensor]] = {}
        for key, tensor in state.tensors.items():
            if key.startswith("optimiser/"):
                _, i, name = key.split("/")
                moments.setdefault(int(i), {})[name] = tensor.clone()
        self.scale = state.facts["scale"]
        groups = self.optimiser.state_dict()["param_groups"]
        self.optimiser.load_state_dict({"state": moments, "param_groups": groups})
        for group, unit in zip(self.optimiser.param_groups, self._units, strict=False):
            group["unit"] = unit
        self.clock.n_silent_tokens.copy_(state.tensors["clock"])
        self.dead = state.tensors["dead"].to(device)
        self.draw.set_state(state.tensors["draw"].clone())
        self.n_steps, self.n_tokens, self.n_resampled = (
            state.facts[name] for name in ("n_steps", "n_tokens", "n_resampled")
        )
        self.history = [StepRecord(**record) for record in state.facts["history"]]
