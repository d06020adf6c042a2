"""Choice of the device and of the float32 matrix product."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import torch
from torch import Tensor

__all__ = ["fast_matmul", "has_fast_bfloat16", "is_on_host", "resolve_device"]


def is_on_host(tensor: Tensor) -> bool:
    """Whether reading the tensor's values is free, because it is in the CPU's memory; elsewhere a step must not branch
    on them."""
    return tensor.device.type == "cpu"


def has_fast_bfloat16(device: torch.device | None = None) -> bool:
    """Whether the device, by default the CPU, multiplies bfloat16 in hardware (AMX or AVX512_BF16 on a CPU)."""
    if device is not None and device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    # torch below 2.12 has no such query
    capabilities = getattr(torch.cpu, "get_capabilities", dict)()
    is_cpu = device is None or device.type == "cpu"
    return is_cpu and bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def resolve_device(name: str | torch.device = "auto") -> torch.device:
    """The device called `name`; "auto" is CUDA where available, else the CPU.

    Raises ValueError for CUDA without a device, or an unknown name.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ValueError(f'device = {name!r}: unknown; use "auto", "cpu" or "cuda"') from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f'device = {str(name)!r}: torch sees no CUDA device; use "auto" or "cpu"')
    return device


@cache
def _is_medium_exact_on_cpu() -> bool:
    # On CPUs with AMX "medium" is bfloat16.
    draw = torch.Generator().manual_seed(0)
    left, right = (torch.randn(256, 256, generator=draw) for _ in range(2))
    exact = left.double() @ right.double()
    previous = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("medium")
        error = ((left @ right).double() - exact).norm() / exact.norm()
    finally:
        torch.set_float32_matmul_precision(previous)
    return bool(error < 1e-5)


@contextmanager
def fast_matmul(device: torch.device) -> Iterator[None]:
    """Within the block, float32 products take the fastest accurate kernel.

    CPU: oneDNN ("medium"), where a self-test finds it exact to 1e-5. CUDA: TF32 ("high").
    """
    previous = torch.get_float32_matmul_precision()
    wanted = "high" if device.type == "cuda" else ("medium" if _is_medium_exact_on_cpu() else previous)
    torch.set_float32_matmul_precision(wanted)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(previous)
