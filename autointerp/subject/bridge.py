"""The bridge from a transformers model to transformer_lens' hooks, booted with what is installed and nothing more.

transformer_lens looks for the image or sound processor of a model that reads more than text, asks the hub for it, and
where it needs torchvision runs `pip install`, in the interpreter that is running. Text needs no processor, so none is
looked for; and while a bridge boots no process can be started, whatever the next version tries.
"""

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
    """The bridge over a loaded model. Raises SubjectError for an architecture that transformer_lens does not know."""
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
    """Whether a model is a bridge already; transformer_lens is not loaded to find out."""
    return any(kind.__module__.startswith("transformer_lens.") for kind in type(model).__mro__)


class _NoProcess(subprocess.Popen):
    def __init__(self, args: Any, *rest: Any, **options: Any) -> None:
        raise PermissionError(f"no process is started while a model is loaded: {args}")

    def __del__(self) -> None:
        """Nothing was started, so nothing is left behind."""


@contextmanager
def _as_installed() -> Iterator[None]:
    """Within the block transformer_lens looks for no processor, and nothing starts a process."""
    source: Any = import_module("transformer_lens.model_bridge.sources.transformers.source")
    processor, process = source.load_modality_processor, subprocess.Popen
    source.load_modality_processor = lambda *args, **options: None
    subprocess.Popen = _NoProcess
    try:
        yield
    finally:
        source.load_modality_processor, subprocess.Popen = processor, process


def _own_tokenizer(tokenizer: PreTrainedTokenizerBase, *, name: str) -> PreTrainedTokenizerBase:
    """A copy for the bridge, which adds a pad token to it, and reloads it by name (from the hub even) unless it is
    told that BOS is added already. Only this package's own tokenizer is ever used.
    """
    own = copy.deepcopy(tokenizer)
    own.init_kwargs = own.init_kwargs | {"name_or_path": name, "add_bos_token": True}
    return own
