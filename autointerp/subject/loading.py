"""A causal language model and its tokenizer from disk or hub; code that comes with a model is never run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch

from autointerp.errors import InputError, SubjectError
from autointerp.hub import HubUnknown, HubUnreachable, look_up
from autointerp.pretrained.finding import find_pretrained
from autointerp.resources import resource
from autointerp.subject.corpus import IN_MEMORY
from autointerp.tensor_half import without_progress_bars

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

__all__ = ["builtin_directory", "load_model", "load_tokenizer", "locate_model", "pick_device"]


def builtin_directory() -> Path:
    return resource("subjects/builtin")


def pick_device(device: str) -> torch.device:
    """`auto` is CUDA where there is one, else the CPU. Raises SubjectError for a device this machine lacks."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError:
        raise SubjectError(f"device = '{device}' is no device; use 'auto', 'cpu' or 'cuda'") from None
    if chosen.type == "cuda" and not torch.cuda.is_available():
        raise SubjectError(f"device = '{device}', but this machine has no usable CUDA GPU; use 'auto' or 'cpu'")
    return chosen


def locate_model(name: str) -> str:
    """The directory or hub name for transformers to load. Raises SubjectError where there is neither."""
    if name == "builtin":
        directory = builtin_directory()
        if not (directory / "config.json").is_file():
            raise SubjectError(
                f"subject.model = 'builtin': its weights are not in {directory}; "
                "run `python -m subjects.training train` in a checkout, or reinstall the package"
            )
        return str(directory)
    if name.startswith(IN_MEMORY):
        raise SubjectError(
            f"subject.model = '{name}' lives in memory only, so this run goes on from Python: call autointerp.evaluate "
            "again with the model; what is harvested can be scored anew with `autointerp rescore`"
        )
    try:
        found = find_pretrained(name)
    except InputError as error:
        raise SubjectError(f"subject.model = '{name}': {error}") from error
    if found is not None:
        return str(found)
    path = Path(name).expanduser()
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise SubjectError(
                f"subject.model = '{name}': the directory holds no config.json; "
                "give a directory in HuggingFace layout (config.json, model.safetensors, tokenizer.json)"
            )
        return str(path)
    if path.exists():
        raise SubjectError(
            f"subject.model = '{name}' is a file; give the directory that holds config.json, or a .gguf file"
        )
    if name.startswith((".", "~", "/")) or name.count("/") > 1 or not name.strip():
        raise SubjectError(f"subject.model = '{name}': there is no such directory; correct the path")
    _check_hub(name)
    return name


def load_model(location: str, *, name: str, **placement: Any) -> PreTrainedModel:
    """float32 on the CPU, in evaluation mode, unless `placement` (see `subject.placement`) says otherwise.

    Raises SubjectError for an unknown architecture, missing, truncated or incomplete weights.
    """
    import transformers
    from safetensors import SafetensorError
    from transformers import AutoConfig, AutoModelForCausalLM

    try:
        config = AutoConfig.from_pretrained(location, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        raise SubjectError(f"subject.model = '{name}': its config.json cannot be used: {_first_line(error)}") from error
    if getattr(config, "is_encoder_decoder", False):
        raise SubjectError(f"subject.model = '{name}' is an encoder-decoder; give a causal language model")
    try:
        with without_progress_bars(transformers):
            model, info = cast(Any, AutoModelForCausalLM).from_pretrained(
                location,
                dtype=torch.float32,
                attn_implementation="eager",
                output_loading_info=True,
                trust_remote_code=False,
                **placement,
            )
    except (SafetensorError, RuntimeError, EOFError) as error:
        raise SubjectError(
            f"subject.model = '{name}': its weights are damaged, truncated or do not fit config.json "
            f"({_first_line(error)}); copy or download them again"
        ) from error
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise SubjectError(
            f"subject.model = '{name}' cannot be loaded as a causal language model: {_first_line(error)}"
        ) from error
    if info["missing_keys"]:
        missing = sorted(info["missing_keys"])
        raise SubjectError(
            f"subject.model = '{name}': its weights lack {len(missing)} tensors that config.json asks for, "
            f"first '{missing[0]}'; copy or download all its files again"
        )
    return model.eval()


def load_tokenizer(location: str, *, name: str) -> PreTrainedTokenizerBase:
    """Raises SubjectError where there is no tokenizer or it is empty."""
    from transformers import AutoTokenizer

    fix = "put its tokenizer.json and tokenizer_config.json beside config.json"
    try:
        tokenizer = AutoTokenizer.from_pretrained(location, trust_remote_code=False)
    except (OSError, ValueError, KeyError, ImportError, TypeError, AttributeError) as error:
        raise SubjectError(
            f"subject.model = '{name}': its tokenizer is missing or damaged ({_first_line(error)}); {fix}"
        ) from error
    # transformers makes an empty tokenizer of the model's class where the files are missing
    if len(tokenizer) <= len(tokenizer.all_special_ids):
        raise SubjectError(f"subject.model = '{name}': there is no tokenizer; {fix}")
    return tokenizer


def _check_hub(name: str) -> None:
    """Raises SubjectError unless the model is in the hub's local cache or the hub has it."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    here = f"subject.model = '{name}': no such directory here, and the HuggingFace hub"
    try:
        if isinstance(try_to_load_from_cache(name, "config.json"), str):
            return
        look_up(name, kind="model")
    except (HubUnknown, HFValidationError) as error:
        raise SubjectError(
            f"{here} has no model of that name that you may read; correct the name, or log in with `hf auth login`"
        ) from error
    except HubUnreachable as error:
        raise SubjectError(
            f"{here} could not be reached ({error}); give a local directory, or run where there is network"
        ) from error


def _first_line(error: Any) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].strip() if lines else type(error).__name__
