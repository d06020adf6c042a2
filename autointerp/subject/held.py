"""A model and texts that live in memory, in place of a name or a path in the config."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from autointerp.config.tree import SubjectConfig
from autointerp.errors import InputError, SubjectError
from autointerp.records.document import DEFAULT_SHARES, Document
from autointerp.subject.bridge import is_bridge
from autointerp.subject.corpus import IN_MEMORY, Corpus
from autointerp.subject.loading import pick_device
from autointerp.subject.model import Subject, load_subject

__all__ = ["IN_MEMORY", "HeldModel", "HeldTexts"]


@dataclass(frozen=True, slots=True)
class HeldModel:
    """A transformers model (copied when opened) or a TransformerBridge (read as it is), and its tokenizer.

    Raises SubjectError for anything else, and where there is no tokenizer.
    """

    model: Any
    tokenizer: Any = None

    def __post_init__(self) -> None:
        kind = type(self.model).__qualname__
        if not isinstance(self.model, torch.nn.Module) or not (hasattr(self.model, "config") or is_bridge(self.model)):
            raise SubjectError(
                f"model: a {kind} is no subject; give a name, a directory, a transformers model with its tokenizer, or "
                "a TransformerBridge"
            )
        if self.tokenizer is None and getattr(self.model, "tokenizer", None) is None:
            raise SubjectError(f"tokenizer: a {kind} needs its own; give it beside the model")

    def open(self, config: SubjectConfig, *, device: str, seed: int) -> Subject:
        """Raises SubjectError as `load_subject`, and for a bridge that is not as it was booted."""
        if is_bridge(self.model):
            return self._over_bridge(config, device=device)
        hf_model = copy.deepcopy(self.model)
        return load_subject(config, device=device, seed=seed, hf_model=hf_model, tokenizer=self.tokenizer)

    def _over_bridge(self, config: SubjectConfig, *, device: str) -> Subject:
        bridge, tokenizer = self.model, self.tokenizer or self.model.tokenizer
        if getattr(bridge, "compatibility_mode", False) or getattr(bridge, "_weights_processed", False):
            raise SubjectError(
                "the bridge's weights were processed (enable_compatibility_mode), so its activations are not the "
                "model's own; give a bridge as boot_transformers makes it"
            )
        if config.weights != "trained":
            raise SubjectError(
                f"subject.weights = '{config.weights}' would change the bridge's model; give the model itself"
            )
        parameter = next(iter(bridge.original_model.parameters()))
        if parameter.dtype != torch.float32:
            raise SubjectError(f"the bridge is in {parameter.dtype}; give it in float32: bridge.to(torch.float32)")
        if device != "auto" and pick_device(device).type != parameter.device.type:
            raise SubjectError(f"device = '{device}', but the bridge is on {parameter.device}; move it, or use 'auto'")
        return load_subject(config, device=str(parameter.device), tokenizer=tokenizer, bridge=bridge)

    @property
    def name(self) -> str:
        said = getattr(getattr(self.model, "config", None), "name_or_path", "") or getattr(
            getattr(self.model, "cfg", None), "model_name", ""
        )
        return str(said).rstrip("/").rpartition("/")[2] or type(self.model).__qualname__

    def sha256(self) -> str:
        """Hash of all weights by name, and of the vocabulary."""
        digest = hashlib.sha256()
        for name, weight in sorted(getattr(self.model, "original_model", self.model).named_parameters()):
            value = weight.detach().cpu().contiguous()
            digest.update(f"{name}{tuple(value.shape)}{value.dtype}".encode())
            digest.update(value.reshape(-1).view(torch.uint8).numpy().tobytes())
        tokenizer = self.tokenizer or self.model.tokenizer
        for string, token in sorted(tokenizer.get_vocab().items()):
            digest.update(f"{token}:{string}\x1f".encode("utf-8", "surrogatepass"))
        return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class HeldTexts:
    texts: Sequence[str]

    @classmethod
    def of(cls, texts: Iterable[Any]) -> HeldTexts:
        """Raises InputError where one is no text."""
        documents = list(texts)
        for place, text in enumerate(documents):
            if not isinstance(text, str):
                raise InputError(f"corpus: text {place} is a {type(text).__name__}; give strings, or a path")
        return cls(documents)

    def open(self) -> Corpus:
        return Corpus(
            "memory",
            dict(DEFAULT_SHARES),
            {"kind": "memory"},
            lambda: (Document(self._id(place, text), "memory", text) for place, text in enumerate(self.texts)),
            self.sha256,
        )

    def sha256(self) -> str:
        digest = hashlib.sha256()
        for text in self.texts:
            raw = text.encode("utf-8", "surrogatepass")
            digest.update(f"{len(raw)}:".encode() + raw)
        return digest.hexdigest()

    @staticmethod
    def _id(place: int, text: str) -> str:
        return f"{place}-{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:12]}"
