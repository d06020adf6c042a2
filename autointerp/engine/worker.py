"""A worker of the local engine: `python -m autointerp.engine.worker DESCRIPTOR` does what it is sent."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

from autointerp.engine.messages import receive, send
from autointerp.engine.task import Share, attempt
from autointerp.memory import collect_rarely, release_memory

__all__ = ["main"]


class _Pipe:
    """The desk at the other end of a pipe."""

    def __init__(self, connection: Connection) -> None:
        self._connection, self._lock = connection, threading.Lock()

    def call(self, method: str, *arguments: Any) -> Any:
        with self._lock:
            try:
                send(self._connection, "call", method, arguments)
                return receive(self._connection)[0]
            except (EOFError, OSError) as error:
                raise ConnectionError("its pipe is closed") from error


def main() -> None:
    collect_rarely()
    with Connection(int(sys.argv[1])) as connection:
        link = _Pipe(connection)
        # its end, at any moment, is the coordinator's
        with suppress(EOFError, OSError):
            while True:
                task, index, n, arguments, place, gpu = receive(connection)
                if gpu is not None:
                    os.environ["CUDA_VISIBLE_DEVICES"] = gpu  # read when CUDA is first used
                send(connection, "ended", attempt(task, Share(index, n, link), arguments, place=place))
                del task, arguments
                release_memory()


if __name__ == "__main__":
    main()
