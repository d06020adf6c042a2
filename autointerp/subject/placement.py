"""Where a subject's weights lie and in how many bits: one device in float32, several devices, or 8 bits on CUDA.

Linear layers in 8 bits are bitsandbytes' (Dettmers et al. 2022, arXiv 2208.07339): embeddings, norms and the
unembedding stay float32.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import torch

from autointerp.config.tree import SubjectConfig
from autointerp.errors import SubjectError

__all__ = ["placement_options"]


def placement_options(config: SubjectConfig, device: torch.device) -> dict[str, Any]:
    """Options of transformers' `from_pretrained`; none for float32 on one device.

    Raises SubjectError without CUDA, without a library, and for a random twin in 8 bits.
    """
    is_int8 = config.dtype == "int8"
    if not is_int8 and config.device_map is None:
        return {}
    key = "subject.dtype = 'int8'" if is_int8 else f"subject.device_map = '{config.device_map}'"
    if device.type != "cuda":
        raise SubjectError(f"{key} needs a CUDA GPU, and the subject is put on '{device}' here; leave the key out")
    for library in ("accelerate", "bitsandbytes") if is_int8 else ("accelerate",):
        if find_spec(library) is None:
            raise SubjectError(f"{key} needs {library}, which is not installed: pip install {library}")
    options: dict[str, Any] = {"device_map": config.device_map or {"": str(device)}}
    if is_int8:
        if config.weights != "trained":
            raise SubjectError(
                f"{key} with subject.weights = '{config.weights}': twins are made in float32; leave one out"
            )
        from transformers import BitsAndBytesConfig

        options["quantization_config"] = BitsAndBytesConfig(load_in_8bit=True)
    return options
