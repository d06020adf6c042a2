"""The batches of a training: counted, equally many on every rank, resumable."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol, runtime_checkable

from torch import Tensor

from sae_core.distributed import ALONE, Ranks
from sae_core.errors import TrainingDataError, TrainingStateError
from sae_core.state import State

__all__ = ["BatchStream", "ResumableBatches"]


@runtime_checkable
class ResumableBatches(Protocol):
    """Batches that can continue from a saved place."""

    def __iter__(self) -> Iterator[Tensor]: ...

    def state(self) -> State: ...

    def restore(self, state: State) -> None: ...


class BatchStream:
    """Batches one by one; the stream ends on all ranks when it ends on one."""

    def __init__(self, batches: Iterable[Tensor], *, ranks: Ranks = ALONE) -> None:
        self.batches = batches
        self.ranks = ranks
        self.n_given = 0
        self._iterator: Iterator[Tensor] | None = None

    def next_batch(self) -> Tensor | None:
        """The next batch, or None at the end. Raises TrainingDataError if the ranks' batches differ in size."""
        if self._iterator is None:
            self._iterator = iter(self.batches)
        batch = next(self._iterator, None)
        n_rows = 0 if batch is None else batch.shape[0]
        smallest, minus_largest = self.ranks.least(n_rows, -n_rows)
        if batch is None or smallest == 0:
            return None
        if smallest != -minus_largest:
            raise TrainingDataError(
                f"the ranks' batches hold between {smallest} and {-minus_largest} activations; "
                "give every rank batches of one size"
            )
        self.n_given += 1
        return batch

    def state(self) -> State:
        inner = self.batches.state() if isinstance(self.batches, ResumableBatches) else State({}, {})
        return State({"n_given": self.n_given, "inner": inner.facts}, inner.tensors)

    def restore(self, state: State) -> None:
        """Continue from `state`; what is not ResumableBatches is read again up to it. Raises TrainingStateError if too
        short."""
        self.n_given = state.facts["n_given"]
        if isinstance(self.batches, ResumableBatches):
            self.batches.restore(State(state.facts["inner"], state.tensors))
            return
        self._iterator = iter(self.batches)
        for n_read in range(self.n_given):
            if next(self._iterator, None) is None:
                raise TrainingStateError(
                    f"the stream ends after {n_read} batches, but the interrupted training had seen {self.n_given}; "
                    "give the stream it was begun with, or delete the training's state"
                )
