"""The bridge from a transformers model to transformer_lens' hooks."""

from __future__ import annotations

import copy
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

import torch

from autointerp.errors import SubjectError

if TYPE_CHECKING:
    from transformer_lens.model_bridge import TransformerBridge
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

__all__ = ["boot_bridge", "is_bridge"]


def boot_bridge(
    hf_model: PreTrainedModel, *, tokenizer: PreTrainedTokenizerBase, name: str, device: torch.device
) -> TransformerBridge:
    """Raises SubjectError for an architecture that transformer_lens does not know."""
    from transformer_lens.model_bridge import TransformerBridge

    # a model that was never saved does not name its class in its config, by which transformer_lens chooses
    hf_model.config.architectures = hf_model.config.architectures or [type(hf_model).__name__]
    try:
        with _as_installed():
            return TransformerBridge.boot_transformers(
                name, hf_model=hf_model, tokenizer=_own_tokenizer(tokenizer, name=name), device=device
            )
    except (ValueError, KeyError, NotImplementedError, AttributeError) as error:
        raise SubjectError(
            f"subject.model = '{name}': transformer_lens cannot bridge {type(hf_model).__name__} ({error})"
        ) from error


def is_bridge(model: object) -> bool:
    return any(kind.__module__.startswith("transformer_lens.") for kind in type(model).__mro__)


class _NoProcess(subprocess.Popen):
    def __init__(self, args: Any, *rest: Any, **options: Any) -> None:
        raise PermissionError(f"no process is started while a model is loaded: {args}")

    def __del__(self) -> None:
        """Nothing was started, so nothing is left behind."""


@contextmanager
def _as_installed() -> Iterator[None]:
    """Within the block transformer_lens looks for no processor, and no process starts."""
    # For a model that reads more than text, transformer_lens asks the hub for an image or sound processor and may run
    # `pip install` in the running interpreter. Text needs no processor; no process can start, whatever the next version
    # tries.
    source: Any = import_module("transformer_lens.model_bridge.sources.transformers.source")
    processor, process = source.load_modality_processor, subprocess.Popen
    source.load_modality_processor = lambda *args, **options: None
    subprocess.Popen = _NoProcess
    try:
        yield
    finally:
        source.load_modality_processor, subprocess.Popen = processor, process


def _own_tokenizer(tokenizer: PreTrainedTokenizerBase, *, name: str) -> PreTrainedTokenizerBase:
    own = copy.deepcopy(tokenizer)
    # the bridge adds a pad token, and reloads the tokenizer by name (even from the hub) unless BOS is marked as added
    own.init_kwargs = own.init_kwargs | {"name_or_path": name, "add_bos_token": True}
    return own
