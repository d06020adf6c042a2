"""State of interrupted work as facts and tensors, writable without pickle."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from torch import Tensor

from sae_core.errors import TrainingStateError

__all__ = ["State", "join_states", "require_same"]


class State(NamedTuple):
    """facts: JSON-ready; tensors: by name, on any device."""

    facts: dict[str, Any]
    tensors: dict[str, Tensor]

    def part(self, name: str) -> State:
        """The state that `join_states` put under `name`."""
        start = f"{name}/"
        tensors = {key.removeprefix(start): value for key, value in self.tensors.items() if key.startswith(start)}
        return State(self.facts[name], tensors)


def join_states(states: Mapping[str, State]) -> State:
    """Several states as one, each under its name."""
    tensors = {f"{name}/{key}": value for name, state in states.items() for key, value in state.tensors.items()}
    return State({name: state.facts for name, state in states.items()}, tensors)


def require_same(found: Mapping[str, Any], wanted: Mapping[str, Any], *, what: str, fix: str) -> None:
    """Raise TrainingStateError naming every field, at any depth, that differs: `found -> wanted`."""
    differing = list(_differing(found, wanted, ""))
    if differing:
        raise TrainingStateError(f"{what} was made with other settings; differing: {'; '.join(differing)}. {fix}")


def _differing(found: Any, wanted: Any, name: str) -> Iterator[str]:
    if isinstance(found, Mapping) and isinstance(wanted, Mapping):
        for key in sorted({*found, *wanted}):
            absent = "(absent)"
            yield from _differing(found.get(key, absent), wanted.get(key, absent), f"{name}.{key}" if name else key)
        return
    before = list(found) if isinstance(found, tuple) else found
    after = list(wanted) if isinstance(wanted, tuple) else wanted
    if before != after:
        yield f"{name}: {before} -> {after}"
