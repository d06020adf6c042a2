"""A GGUF file as a folder in HuggingFace layout, dequantised to float32 and kept in the user's cache."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from autointerp.distribution import how_to_install
from autointerp.errors import InputError
from autointerp.pretrained.store import file_sha256, find_kept, keep, need_room
from autointerp.tensor_half import without_progress_bars

__all__ = ["convert_gguf", "unpacked_gguf"]

# what converted files are called by; raised when `convert_gguf` writes others
_VERSION = 1
# tokenizer, config and the rounding of blocks, beside four bytes a weight
_SPARE_BYTES = 50_000_000
# what a reader of another's binary file stumbles over
_FAULTS = (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError, MemoryError, OSError)


def unpacked_gguf(path: Path) -> Path:
    """The folder made of a GGUF file, by the file's content: config, tokenizer, chat template, safetensors.

    Raises InputError without the package gguf, for a missing or damaged file, an architecture that transformers cannot
    read, or too small a disk.
    """
    if not path.is_file():
        raise InputError(f"{path} does not exist")
    digest = file_sha256(path)
    key = f"gguf{_VERSION}-{digest[:32]}"
    found = find_kept(key)
    if found is not None:
        return found

    def write(folder: Path) -> dict[str, Any]:
        convert_gguf(path, folder)
        return {"gguf": path.name, "sha256": digest}

    return keep(key, write)


def convert_gguf(path: Path, folder: Path) -> None:
    """Write the model of a GGUF file into `folder`. Raises InputError as `unpacked_gguf`."""
    reader, architecture = _open(path)
    need_room(4 * sum(int(tensor.n_elements) for tensor in reader.tensors) + _SPARE_BYTES)
    import torch
    import transformers

    where = {"gguf_file": path.name, "trust_remote_code": False}
    # older versions always dequantise
    config = getattr(transformers, "GgufConfig", None)
    blocks = {} if config is None else {"quantization_config": config(dequantize=True)}
    with without_progress_bars(transformers), _read_once(reader):
        try:
            transformers.AutoConfig.from_pretrained(path.parent, **where)
        except (*_FAULTS, NotImplementedError) as error:
            raise InputError(
                f"{path}: transformers cannot read the architecture '{architecture}' from GGUF ({_first_line(error)}); "
                "give a directory in HuggingFace layout"
            ) from error
        try:
            loaded: Any = transformers.AutoModelForCausalLM.from_pretrained(
                path.parent, dtype=torch.float32, output_loading_info=True, **where, **blocks
            )
            model, info = loaded
            tokenizer = transformers.AutoTokenizer.from_pretrained(path.parent, **where)
        except ImportError as error:  # accelerate
            raise InputError(f"{path}: {_first_line(error)}; run {how_to_install('models')}") from error
        except (*_FAULTS, RuntimeError) as error:
            raise _damaged(path, _first_line(error)) from error
    if info["missing_keys"]:
        raise _damaged(path, f"it lacks {min(info['missing_keys'])}")
    # dense by now, though transformers still calls it quantised and would not save it
    model.hf_quantizer = None
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    with without_progress_bars(transformers):
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)


def _open(path: Path) -> tuple[Any, str]:
    """(gguf's reader, architecture) of a whole file."""
    try:
        import gguf
    except ModuleNotFoundError as error:
        raise InputError(f"{path} needs the package '{error.name}'; run {how_to_install('models')}") from None
    try:
        reader = gguf.GGUFReader(path)
        fields = reader.fields
        n_parts = fields["split.count"].contents() if "split.count" in fields else 1
        architecture = str(fields["general.architecture"].contents())
        end = max(int(tensor.data_offset + tensor.n_bytes) for tensor in reader.tensors)
    except _FAULTS as error:
        raise _damaged(path, _first_line(error)) from error
    if n_parts > 1:
        raise InputError(f"{path} is one of {n_parts} parts; merge them: llama-gguf-split --merge FIRST OUT")
    if end > path.stat().st_size:
        raise _damaged(path, "it is cut off")
    return reader, architecture


@contextmanager
def _read_once(reader: Any) -> Iterator[None]:
    """Within the block transformers takes this reader, and draws no bar of its own, which would break ours."""
    # it parses the vocabulary anew for config, weights and tokenizer: 5 s of CPU each at 49k entries
    gguf: Any = importlib.import_module("gguf")
    loader: Any = importlib.import_module("transformers.modeling_gguf_pytorch_utils")
    before = gguf.GGUFReader, loader.tqdm
    gguf.GGUFReader, loader.tqdm = (lambda *_, **__: reader), (lambda items, **_: items)
    try:
        yield
    finally:
        gguf.GGUFReader, loader.tqdm = before


def _damaged(path: Path, why: str) -> InputError:
    return InputError(f"{path} is no GGUF file or damaged ({why}); copy or download it again")


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].strip() if lines else type(error).__name__
