"""Tensor shapes and types stated in signatures are checked while tests run, and only then."""

import os
from collections.abc import Iterator

import jaxtyping
import pytest

# Processes are forked in tests, and OpenMP threads that were started before a fork never answer after it.
os.environ.setdefault("OMP_NUM_THREADS", "1")

jaxtyping.install_import_hook(["sae_core", "autointerp.subject", "autointerp.harvest"], "beartype.beartype")


@pytest.fixture
def unchecked() -> Iterator[None]:
    """No check of shapes, which takes three fifths of a small training: for tests of hundreds of steps, each of them
    such as shorter tests check."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)
