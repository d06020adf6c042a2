"""Activations kept on disk by the tokens they belong to, so that a text is run through the subject once."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, Int
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from autointerp.config.sites import SitePoint
from sae_core.atomic import write_file
from sae_core.tensor_file import write_tensors

if TYPE_CHECKING:
    from autointerp.subject.model import Subject

__all__ = ["KeptActivations"]

TENSOR = "activations"


class KeptActivations:
    """A subject as the harvest needs it (`harvest.evidence.HarvestSubject`), which reads a batch again where it can.

    The first pass over a text writes a file per batch and point under `folder`; later passes, and other runs on the
    same subject and text, read it. Values are rounded to `dtype` from the first time on, so all passes see the same.
    `folder` must belong to this subject and its number type alone. A file that cannot be read is written anew.
    """

    def __init__(self, subject: Subject, folder: Path, *, dtype: torch.dtype) -> None:
        self._subject, self._folder, self._dtype = subject, folder, dtype
        self.vocab_size, self.special_ids = subject.vocab_size, subject.special_ids
        self.check, self.logit_effects = subject.check, subject.logit_effects

    def activations(
        self, tokens: Int[Tensor, "batch pos"], points: Sequence[SitePoint]
    ) -> dict[SitePoint, Float[Tensor, "batch pos d_in"]]:
        """Raises DictionaryWriteError for a full disk."""
        content = tokens.cpu().contiguous().numpy().tobytes()
        name = hashlib.blake2b(f"{tuple(tokens.shape)}".encode() + content, digest_size=16).hexdigest()
        paths = {point: self._folder / str(point) / f"{name}.safetensors" for point in points}
        found = {point: x for point, path in paths.items() if (x := self._load(path)) is not None}
        missing = [point for point in points if point not in found]
        if missing:
            for point, x in self._subject.activations(tokens, missing).items():
                found[point] = x.to(self._dtype)
                write_file(paths[point], lambda path, x=found[point]: write_tensors(path, {TENSOR: x}))
        return {point: found[point].float() for point in points}

    def _load(self, path: Path) -> Tensor | None:
        try:
            return load_file(path, device=str(self._subject.device))[TENSOR]
        except (OSError, SafetensorError, KeyError):
            return None
