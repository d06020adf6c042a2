"""The command `autointerp`, and `python -m autointerp`, which is what torchrun starts."""

from __future__ import annotations

import os
import signal
from typing import Any, NoReturn

__all__ = ["main"]

INTERRUPTED = 130


def main() -> None:
    usual = signal.getsignal(signal.SIGINT)
    if usual is signal.default_int_handler:  # else somebody wants it ignored, or handled in another way
        # loading the packages takes seconds in which nothing has begun
        signal.signal(signal.SIGINT, _leave)
    from autointerp.cli.main import main as run

    signal.signal(signal.SIGINT, usual)
    run()


def _leave(*_: Any) -> NoReturn:
    # no exception: half-loaded packages turn one into errors of their own
    os.write(2, b"interrupted before anything began\n")
    os._exit(INTERRUPTED)


if __name__ == "__main__":
    main()
