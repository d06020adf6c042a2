"""Two and more real processes that train together, for tests: forked, so that torch is imported once."""

from __future__ import annotations

import os
import socket
import traceback
from collections.abc import Callable
from unittest.mock import patch

from sae_core.distributed import Ranks, open_ranks

__all__ = ["free_port", "in_processes", "in_ranks"]


def free_port() -> int:
    """A TCP port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def in_ranks(n: int, work: Callable[[Ranks], None]) -> None:
    """Run `work` in n processes, each as one rank; fails when one of them does. What they find they leave in files."""

    def joined() -> None:
        with open_ranks(timeout_s=60.0) as ranks:
            work(ranks)

    in_processes(n, joined)


def in_processes(n: int, work: Callable[[], None]) -> None:
    """Run `work` in n processes with the environment that torchrun gives them."""
    port = free_port()
    children = []
    for index in range(n):
        child = os.fork()
        if not child:
            environment = {"RANK": index, "WORLD_SIZE": n, "LOCAL_RANK": index, "MASTER_PORT": port}
            code = 1
            try:
                with patch.dict(os.environ, {name: str(value) for name, value in environment.items()}):
                    os.environ["MASTER_ADDR"] = "127.0.0.1"
                    work()
                code = 0
            finally:
                if code:
                    traceback.print_exc()
                os._exit(code)
        children.append(child)
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    assert codes == [0] * n, f"exit codes of the ranks: {codes}"
