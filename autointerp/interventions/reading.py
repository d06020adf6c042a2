"""Prompts read once at a site, so that many changes there are tried without running the layers below again."""

from __future__ import annotations

from contextlib import nullcontext

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from autointerp.config.sites import SitePoint
from autointerp.interventions.changes import add
from autointerp.interventions.effects import next_logits
from autointerp.interventions.prompts import Prompts
from autointerp.subject.hooks import Change
from autointerp.subject.model import Subject
from autointerp.subject.upper_layers import UpperLayers

__all__ = ["ReadPrompts"]

ROWS_AT_ONCE = 128


class ReadPrompts:
    """Prompts and their activations `x` at `point`; passes begin at the site's layer where the subject's can.

    Their outputs are the logits of the next token, or the activations at `watched`, a later place, at the last token.
    """

    def __init__(
        self,
        subject: Subject,
        prompts: Prompts,
        point: SitePoint,
        *,
        watched: SitePoint | None = None,
        upper: UpperLayers | None = None,
    ) -> None:
        self.subject, self.prompts, self.point, self.watched = subject, prompts, point, watched
        self._upper = UpperLayers(subject, point.layer) if upper is None else upper
        points = [point, self._upper.entering] if self._upper.first else [point]
        found = subject.activations(prompts.tokens, points)
        self.x: Float[Tensor, "prompt pos d_in"] = found[point]
        self._entering = found[points[-1]]

    def __len__(self) -> int:
        return len(self.prompts)

    def part(self, rows: slice | Int[Tensor, " chosen"]) -> ReadPrompts:
        part = object.__new__(ReadPrompts)
        part.subject, part.point, part.watched, part._upper = self.subject, self.point, self.watched, self._upper
        part.prompts, part.x, part._entering = self.prompts.part(rows), self.x[rows], self._entering[rows]
        return part

    def outputs(
        self,
        shift: Float[Tensor, "prompt pos d_in"] | None = None,
        *,
        at: Bool[Tensor, "prompt pos"] | None = None,
        has_gradient: bool = False,
    ) -> Float[Tensor, "prompt out"]:
        """The outputs with `shift` added where `at` is on, by default at all text."""
        # a pass that begins at the site's layer must have the rows that were kept for it
        n_rows = self.subject.rows_at_once(self.prompts.tokens.shape[1])
        if len(self) > n_rows:
            parts = torch.arange(len(self)).split(n_rows)
            given = [[None if each is None else each[rows] for each in (shift, at)] for rows in parts]
            return torch.cat(
                [
                    self.part(rows).outputs(added, at=inside, has_gradient=has_gradient)
                    for rows, (added, inside) in zip(parts, given, strict=True)
                ]
            )
        changes: dict[SitePoint, Change] = {}
        if shift is not None:
            changes[self.point] = add(shift, at=self.prompts.is_text if at is None else at)
        seen: list[Tensor] = []
        if self.watched is not None:
            changes[self.watched] = lambda x, rows: seen.append(x) or torch.zeros_like(x)
        with self._upper.entered(self._entering) if self._upper.first else nullcontext():
            logits = next_logits(self.subject, self.prompts, changes, has_gradient=has_gradient)
        if self.watched is None:
            return logits
        return torch.cat(seen)[torch.arange(len(self)), self.prompts.last]

    def outputs_of_each(
        self, shifts: Float[Tensor, "n prompt pos d_in"], *, at: Bool[Tensor, "prompt pos"] | None = None
    ) -> Float[Tensor, "n prompt out"]:
        """The same for `n` shifts of all prompts."""
        parts = []
        for chosen in shifts.split(max(1, ROWS_AT_ONCE // len(self))):
            n = len(chosen)
            many = self.part(torch.arange(len(self)).repeat(n))
            inside = None if at is None else at.repeat(n, 1)
            parts.append(many.outputs(chosen.flatten(0, 1), at=inside).unflatten(0, (n, -1)))
        return torch.cat(parts)
