"""The stream of batches a training draws from: counted, the same length on every rank, and able to go on.

Takes any iterable of batches. One that can say where it stands (`state`) and go on from there (`restore`), such as
ShuffleBuffer, is resumed in place; any other is read again up to the place. Knows nothing of who trains on the batches.
"""

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
    """Batches whose place in the stream can be kept and taken up again."""

    def __iter__(self) -> Iterator[Tensor]: ...

    def state(self) -> State:
        """Where the iteration begun last stands, after the last batch it gave."""
        ...

    def restore(self, state: State) -> None:
        """Let the next iteration go on from `state`."""
        ...


class BatchStream:
    """Batches one by one. It ends on all ranks as soon as it ends on one of them."""

    def __init__(self, batches: Iterable[Tensor], *, ranks: Ranks = ALONE) -> None:
        self.batches = batches
        self.ranks = ranks
        self.n_given = 0
        self._iterator: Iterator[Tensor] | None = None

    def next_batch(self) -> Tensor | None:
        """The next batch, or None at the end. Raises TrainingDataError when the ranks' batches differ in size."""
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
        """Where the stream stands on this rank."""
        inner = self.batches.state() if isinstance(self.batches, ResumableBatches) else State({}, {})
        return State({"n_given": self.n_given, "inner": inner.facts}, inner.tensors)

    def restore(self, state: State) -> None:
        """Go on from `state`, with batches that would else begin anew."""
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
