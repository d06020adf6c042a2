"""`python -m autointerp` is the command `autointerp`: what torchrun starts."""

from __future__ import annotations

from autointerp.cli.main import main

if __name__ == "__main__":
    main()
