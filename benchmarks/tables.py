"""Markdown for a table of results and for the machine it was measured on. Knows nothing of what was measured."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import torch

from autointerp import tables as markdown

__all__ = ["machine_line", "markdown_table", "write_report"]

RESULTS = Path(__file__).resolve().parent.parent / "results" / "bench"


def machine_line() -> str:
    """Processor, cores, memory and torch, with no host name or path."""
    model = platform.processor() or platform.machine()
    flags: set[str] = set()
    generation: dict[str, str] = {}
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                model = value.strip()
            elif key.strip() in ("cpu family", "model"):
                generation[key.strip()] = value.strip()
            elif key.strip() == "flags":
                flags = set(value.split())
    # The vendor's name alone hides the generation, on which the ratio of matrix kernels depends.
    numbers = [f"{key.removeprefix('cpu ')} {value}" for key, value in generation.items()]
    notable = [flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if flag in flags]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    load = os.getloadavg()[0]
    return (
        f"{model} ({', '.join([*numbers, *notable]) or platform.machine()}), {os.cpu_count()} cores, {memory:.0f} GiB, "
        f"Python {platform.python_version()}, torch {torch.__version__}, one thread per contestant; "
        f"load average at the end {load:.1f}; {datetime.now(UTC):%Y-%m-%d}"
    )


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table whose columns line up in plain text too."""
    widths = [max(len(row[place]) for row in [header, *rows]) for place in range(len(header))]
    heads, *cells = ([cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in (header, *rows))
    lines = markdown.markdown_table(heads, cells, rule=f"| {' | '.join('-' * width for width in widths)} |")
    return "\n".join(lines)


def write_report(name: str, title: str, parts: Sequence[str], *, size: str) -> Path:
    """Write `results/bench/<name>.md`, or `<name>_quick.md` after a quick run: a title, the machine, and the parts."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / (f"{name}.md" if size == "full" else f"{name}_{size}.md")
    temporary = path.with_suffix(".tmp")
    temporary.write_text("\n\n".join([f"# {title} ({size} run)", f"Machine: {machine_line()}.", *parts]) + "\n")
    temporary.replace(path)
    return path
