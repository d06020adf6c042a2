"""Messages over a pipe as plain pickles: a connection's own would hand tensors over by shared files."""

from __future__ import annotations

import pickle
from multiprocessing.connection import Connection
from typing import Any

__all__ = ["receive", "send"]


def send(link: Connection, *message: Any) -> None:
    """Raises OSError where the other end is closed."""
    link.send_bytes(pickle.dumps(message))


def receive(link: Connection) -> tuple[Any, ...]:
    """Raises EOFError or OSError where the other end is closed."""
    return pickle.loads(link.recv_bytes())
