"""The layers of a subject from one on, run again and again on what entered them once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor

from autointerp.config.sites import SitePoint
from autointerp.errors import SubjectError

if TYPE_CHECKING:
    from autointerp.subject.model import Subject

__all__ = ["UpperLayers"]

# tokens of the trial, and the largest difference in nats between a loss that begins at the layer and a whole pass's
TRIAL_TOKENS = 8
TOLERANCE = 1e-5


class UpperLayers:
    """The layers of `subject` from `first` on; 0 where its passes cannot begin at the layer asked for.

    They can where a block gives the residual stream alone and a trial has the loss of a whole pass to 1e-5: not where
    blocks hand on more, or a later one reads what went into the first.
    """

    def __init__(self, subject: Subject, layer: int) -> None:
        self.subject, self.first = subject, layer
        self.entering = SitePoint("resid_pre", layer)
        # what a block gives beside the stream, None for nothing: attention's weights, which no later block reads
        self._beside: tuple[None, ...] | None = None
        if layer and not self._begins():
            self.first = 0

    @contextmanager
    def entered(self, residual: Float[Tensor, "batch pos d_model"]) -> Iterator[None]:
        """Within the block, passes of the subject over these contexts begin at `first` with `residual`."""
        below = self.subject.bridge.blocks[: self.first]

        def given(*args: Any, **options: Any) -> Any:
            x = args[0] if args else options["hidden_states"]
            if x.shape[:2] != residual.shape[:2]:
                raise ValueError(f"the residual stream of {residual.shape[0]} contexts was kept, not of {x.shape[0]}")
            out = residual.to(x)
            return out if self._beside is None else (out, *self._beside)

        for block in below:
            vars(block)["forward"] = given  # a bridge's own setting of attributes would hand it to the model's module
        try:
            yield
        finally:
            for block in below:
                del vars(block)["forward"]

    def _begins(self) -> bool:
        subject = self.subject
        tokens = torch.arange(TRIAL_TOKENS)[None] % subject.vocab_size
        mask = torch.ones_like(tokens, dtype=torch.bool)
        outputs: list[Any] = []
        handle = subject.bridge.blocks[self.first - 1].register_forward_hook(lambda *call: outputs.append(call[-1]))
        try:
            subject.check(self.entering)
            whole = subject.loss(tokens, mask)
        except SubjectError:
            return False
        finally:
            handle.remove()
        output = outputs[-1]
        if isinstance(output, tuple):
            output, self._beside = output[0], (None,) * (len(output) - 1)
        if not isinstance(output, Tensor):
            return False
        # a block that kept something of the last pass must not pass with it
        subject.loss(tokens.flip(1), mask)
        with self.entered(output):
            try:
                resumed = subject.loss(tokens, mask)
            except Exception:  # noqa: BLE001 - whatever a model's code raises where its first blocks did not run
                return False
        return bool((resumed - whole).abs().max() <= TOLERANCE)
