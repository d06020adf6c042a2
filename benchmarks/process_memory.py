"""What Linux says of a process's memory."""

from __future__ import annotations

from pathlib import Path

__all__ = ["memory_bytes"]


def memory_bytes(pid: int | str, field: str) -> int:
    """A line of /proc/PID/status (`VmHWM`, `RssAnon`) in bytes; 0 without it, as of a process that has ended."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith(f"{field}:")), 0)
