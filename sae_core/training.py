"""The only training loop: several dictionaries on one stream of activations, in one pass.

Takes configurations and an iterable of activation batches, gives trained dictionaries with their history. Each
dictionary sees the same batches, and none influences another. Knows nothing of where activations come from, nor of
files; architectures, deadness, losses and schedules are modules of their own.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain

import torch
from jaxtyping import Float, Int
from torch import Tensor

from sae_core.build import build_dictionary
from sae_core.config import DictionaryConfig, TrainingConfig
from sae_core.deadness import FiringClock, resample_dead
from sae_core.device import fast_matmul, resolve_device
from sae_core.dictionary import Dictionary
from sae_core.errors import TrainingDataError
from sae_core.history import StepRecord
from sae_core.objective import objective
from sae_core.randomness import generator
from sae_core.schedule import l1_factor, learning_rate_factor
from sae_core.trainable import TrainableDictionary, TrainingPass

__all__ = ["DictionaryTrainer", "TrainedDictionary", "train_dictionaries"]

DEAD_LIST_EVERY_STEPS = 8
"""How often the list of dead features is drawn up for auxiliary losses; on a GPU each time is a wait."""

log = logging.getLogger(__name__)


@dataclass
class TrainedDictionary:
    """A dictionary, the records of its training (none for a fixed one) and the activations it really saw."""

    dictionary: Dictionary
    history: list[StepRecord] = field(default_factory=list)
    n_tokens: int = 0


class DictionaryTrainer:
    """One dictionary, its optimiser and its clock; `step` moves it by one batch."""

    def __init__(self, name: str, dictionary: TrainableDictionary, config: TrainingConfig) -> None:
        self.name = name
        self.dictionary = dictionary
        self.config = config
        self.scale = float(dictionary.input_scale)
        biases = dictionary.bias_parameters
        weights = [p for p in dictionary.parameters() if all(p is not bias for bias in biases)]
        self.biases = biases
        # In normalised units a bias is `scale` times as large, so its step here is `scale` times smaller.
        self.optimiser = torch.optim.Adam(
            [{"params": weights, "unit": 1.0}, {"params": biases, "unit": 1.0 / self.scale}],
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
    def is_done(self) -> bool:
        """Whether the configured number of activations has been seen."""
        return self.n_tokens >= self.config.n_tokens

    def step(self, x: Float[Tensor, "batch d_in"], *, is_recorded: bool) -> None:
        """One optimiser step on one batch, and a record when asked for.

        Raises WidthMismatchError, and TrainingDataError when the loss is not finite (the weights are then untouched).
        """
        with fast_matmul(x.device):
            progress = self.n_tokens / self.config.n_tokens
            self.n_steps += 1
            self.n_tokens += x.shape[0]
            # The middle of the step: neither the first nor the last one is wasted on a rate of 0.
            learning_rate = self.config.learning_rate * learning_rate_factor(
                (progress + min(1.0, self.n_tokens / self.config.n_tokens)) / 2, self.config
            )
            self.dictionary.anneal(progress)
            passed, loss = objective(
                self.dictionary,
                x,
                config=self.config,
                penalty_share=l1_factor(progress, self.config),
                dead=self.dead,
            )
            if is_recorded or x.device.type == "cpu":
                self._check_finite(loss)
            self.optimiser.zero_grad(set_to_none=True)
            loss.backward()
            self._apply_gradient(learning_rate)
            self.clock.advance(passed.fired, n_tokens=x.shape[0])
            if is_recorded:
                self.history.append(self._record(x, passed, loss, learning_rate))
            self._keep_alive(x, passed)

    def _check_finite(self, loss: Tensor) -> None:
        value = float(loss.detach())
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
            torch.nn.utils.clip_grad_norm_(self.dictionary.parameters(), self.config.gradient_clip, foreach=True)
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate * group["unit"]
        self.optimiser.step()
        self.dictionary.normalise_decoder()

    def _keep_alive(self, x: Tensor, passed: TrainingPass) -> None:
        """Resample dead features when it is time, and now and then draw up the list of dead ones."""
        every = self.config.resample_every_steps
        is_time = every > 0 and self.n_steps % every == 0
        if is_time and self.n_tokens <= self.config.resample_until_frac * self.config.n_tokens:
            revived = resample_dead(
                self.dictionary,
                self.optimiser,
                is_dead=self.clock.is_dead(self.config.dead_after_tokens),
                x=x,
                error=(x - passed.reconstruction).detach(),
                draw=self.draw,
            )
            self.clock.restart(revived)
            self.n_resampled += revived.numel()
        if self.n_steps % DEAD_LIST_EVERY_STEPS == 0:
            self.dead = self._dead_features()

    def _dead_features(self) -> Int[Tensor, " n_dead"]:
        return self.clock.is_dead(self.config.dead_after_tokens).nonzero()[:, 0]

    @torch.no_grad()
    def _record(self, x: Tensor, passed: TrainingPass, loss: Tensor, learning_rate: float) -> StepRecord:
        squared = (x - passed.reconstruction).square()
        record = StepRecord(
            step=self.n_steps,
            n_tokens=self.n_tokens,
            loss=float(loss),
            mse=float(squared.mean()),
            fvu=float(squared.sum() / (x - x.mean(dim=0)).square().sum().clamp_min(1e-12)),
            l0=float(passed.n_active),
            l1=float(passed.code_sum),
            dead_frac=float(self.clock.is_dead(self.config.dead_after_tokens).float().mean()),
            n_resampled=self.n_resampled,
            learning_rate=learning_rate,
        )
        self.n_resampled = 0
        return record


def train_dictionaries(
    configs: Mapping[str, tuple[DictionaryConfig, TrainingConfig]],
    batches: Iterable[Float[Tensor, "_ d_in"]],
    *,
    device: str | torch.device = "auto",
    sample: Float[Tensor, "n_sample d_in"] | None = None,
    on_step: Callable[[str, StepRecord], None] | None = None,
    on_batch: Callable[[int], None] | None = None,
    record_every_steps: int = 10,
) -> dict[str, TrainedDictionary]:
    """Train every dictionary in `configs` on the same batches; each stops at its own `n_tokens`.

    configs: name -> (what it is, how it is trained); fixed kinds are only built. sample: activations that set decoder
    biases and input scales; None takes the first batch. on_step: called with a name and its new record. on_batch:
    called with the number of activations of each batch done. No more batches are drawn than needed. When they run out
    early, a warning is logged and `TrainedDictionary.n_tokens` says how many were seen.

    The dictionaries come back on `device`, in evaluation mode, without gradients. Raises TrainingDataError when there
    are no activations or a loss is not finite, WidthMismatchError when a batch has another width than the first.
    """
    stream = iter(batches)
    first = next(stream, None)
    if first is None:
        raise TrainingDataError("there are no activations to train on; give a longer corpus or a smaller batch_tokens")
    trained, trainers = _prepare(configs, first if sample is None else sample, resolve_device(device))
    running = [trainer for trainer in trainers if not trainer.is_done]
    for batch in chain([first], stream) if running else ():
        x = batch.to(device=running[0].dictionary.W_dec.device, dtype=torch.float32, non_blocking=True)
        for trainer in running:
            is_last = trainer.n_tokens + x.shape[0] >= trainer.config.n_tokens
            is_recorded = is_last or trainer.n_steps % record_every_steps == 0
            trainer.step(x, is_recorded=is_recorded)
            if is_recorded and on_step is not None:
                on_step(trainer.name, trainer.history[-1])
        if on_batch is not None:
            on_batch(x.shape[0])
        running = [trainer for trainer in running if not trainer.is_done]
        if not running:
            break
    for trainer in trainers:
        trained[trainer.name] = _finish(trainer)
    return {name: trained[name] for name in configs}


def _prepare(
    configs: Mapping[str, tuple[DictionaryConfig, TrainingConfig]], sample: Tensor, device: torch.device
) -> tuple[dict[str, TrainedDictionary], list[DictionaryTrainer]]:
    """The fixed dictionaries, done, and a trainer for each of the others."""
    trained: dict[str, TrainedDictionary] = {}
    trainers: list[DictionaryTrainer] = []
    for name, (config, training) in configs.items():
        dictionary = build_dictionary(
            config,
            d_in=sample.shape[-1],
            seed=training.seed,
            sample=sample,
            normalise_inputs=training.normalise_inputs,
        ).to(device)
        if isinstance(dictionary, TrainableDictionary):
            trainers.append(DictionaryTrainer(name, dictionary.train(), training))
        else:
            trained[name] = TrainedDictionary(dictionary.eval())
    return trained, trainers


def _finish(trainer: DictionaryTrainer) -> TrainedDictionary:
    if not trainer.is_done:
        log.warning(
            "%s: the activations ran out at %d of n_tokens = %d, so the schedules are unfinished; "
            "lower n_tokens or give a longer corpus",
            trainer.name,
            trainer.n_tokens,
            trainer.config.n_tokens,
        )
    trainer.dictionary.finish()
    dictionary = trainer.dictionary.eval().requires_grad_(False)
    dictionary.zero_grad(set_to_none=True)
    return TrainedDictionary(dictionary, trainer.history, trainer.n_tokens)
