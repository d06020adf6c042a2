"""Dictionaries trained together on one stream, independent of each other."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor

from sae_core.build import build_dictionary
from sae_core.config import DictionaryConfig, TrainingConfig
from sae_core.crew import Crew
from sae_core.device import fast_matmul
from sae_core.dictionary import Dictionary
from sae_core.distributed import Ranks
from sae_core.state import State, join_states
from sae_core.trainable import TrainableDictionary
from sae_core.training.history import StepRecord
from sae_core.training.trainer import DictionaryTrainer

__all__ = ["Cohort", "Configs", "TrainedDictionary"]

Configs = Mapping[str, tuple[DictionaryConfig, TrainingConfig]]

log = logging.getLogger(__name__)


@dataclass
class TrainedDictionary:
    """A dictionary, its training records and the activations it saw."""

    dictionary: Dictionary
    history: list[StepRecord] = field(default_factory=list)
    n_tokens: int = 0


class Cohort:
    """The fixed dictionaries, and a trainer for each of the others."""

    def __init__(self, configs: Configs, sample: Tensor, device: torch.device, ranks: Ranks) -> None:
        self.names = list(configs)
        self.sample = sample
        self.device = device
        self.ranks = ranks
        self.n_steps = 0
        self.n_tokens = 0
        self.fixed: dict[str, Dictionary] = {}
        self.trainers: list[DictionaryTrainer] = []
        builders = {
            name: partial(
                build_dictionary,
                config,
                d_in=sample.shape[-1],
                seed=training.seed,
                sample=sample,
                normalise_inputs=training.normalise_inputs,
            )
            for name, (config, training) in configs.items()
        }
        for name, built in Crew(len(builders), torch.device("cpu")).run(builders).items():
            dictionary = built.to(device)
            if isinstance(dictionary, TrainableDictionary):
                ranks.share([*dictionary.parameters(), *dictionary.buffers()])
                self.trainers.append(DictionaryTrainer(name, dictionary.train(), configs[name][1], ranks=ranks))
            else:
                self.fixed[name] = dictionary.eval()
        # several processes talk in one order: a dictionary after the other
        self.crew = Crew(len(self.trainers) if ranks.n == 1 else 1, device)

    @property
    def running(self) -> list[DictionaryTrainer]:
        """Trainers short of their number of activations."""
        return [trainer for trainer in self.trainers if not trainer.is_done]

    def goes_on_after(self, batch: Tensor) -> bool:
        """Whether a trainer wants more than this batch."""
        n_rows = batch.shape[0] * self.ranks.n
        return any(trainer.n_tokens + n_rows < trainer.config.n_tokens for trainer in self.running)

    def step(
        self,
        batch: Tensor,
        *,
        on_step: Callable[[str, StepRecord], None] | None,
        record_every_steps: int,
        read_next: Callable[[], Tensor | None] | None = None,
    ) -> tuple[int, Tensor | None]:
        """Train every running dictionary on one batch, and call `read_next` beside it.

        Returns the batch's activations over all ranks, and what was read.
        """
        x = batch.to(device=self.device, dtype=torch.float32, non_blocking=True)
        n_rows = x.shape[0] * self.ranks.n
        trainers = {trainer.name: trainer for trainer in self.running}
        recorded = {
            name: trainer.n_tokens + n_rows >= trainer.config.n_tokens or trainer.n_steps % record_every_steps == 0
            for name, trainer in trainers.items()
        }
        steps = {
            name: partial(trainers[name].step, x, is_recorded=is_recorded) for name, is_recorded in recorded.items()
        }
        # a name that no dictionary has
        reading = {} if read_next is None else {"": read_next}
        with fast_matmul(self.device):
            read = self.crew.run({**steps, **reading}).get("")
        if on_step is not None:
            for name, trainer in trainers.items():
                if recorded[name]:
                    on_step(name, trainer.history[-1])
        self.n_steps += 1
        self.n_tokens += n_rows
        return n_rows, read

    def state(self, *, with_sample: bool) -> State:
        """The state of every trainer; fixed dictionaries are rebuilt from the sample."""
        joined = join_states({str(i): trainer.state() for i, trainer in enumerate(self.trainers)})
        facts = {"trainers": joined.facts, "n_steps": self.n_steps, "n_tokens": self.n_tokens}
        return State(facts, joined.tensors | ({"sample": self.sample} if with_sample else {}))

    def restore(self, state: State) -> None:
        """Continue from a state of the same configurations."""
        self.n_steps, self.n_tokens = state.facts["n_steps"], state.facts["n_tokens"]
        parts = State(state.facts["trainers"], state.tensors)
        for i, trainer in enumerate(self.trainers):
            trainer.restore(parts.part(str(i)))

    def finish(self) -> dict[str, TrainedDictionary]:
        """All dictionaries in the order of the configurations, in evaluation mode, without gradients."""
        done = {name: TrainedDictionary(dictionary) for name, dictionary in self.fixed.items()}
        for trainer in self.trainers:
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
            done[trainer.name] = TrainedDictionary(dictionary, trainer.history, trainer.n_tokens)
        return {name: done[name] for name in self.names}
