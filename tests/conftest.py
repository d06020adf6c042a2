"""Tensor shapes and types stated in signatures are checked while tests run, and only then."""

import os
from collections.abc import Iterator

import jaxtyping
import pytest

# Processes are forked in tests, and OpenMP threads that were started before a fork never answer after it.
os.environ.setdefault("OMP_NUM_THREADS", "1")

jaxtyping.install_import_hook(["sae_core", "autointerp.subject", "autointerp.harvest"], "beartype.beartype")

LONG = (
    "tests/integration/test_whole_run.py",
    "tests/integration/test_user_errors.py",
    "tests/integration/test_known_judges.py",
    "tests/synthetic_studies/test_every_study.py",
    "tests/integration/test_faulty_endpoint.py",
    "tests/chaos/test_killed_in_a_storm.py",
    "tests/stages/test_merge.py",
    "tests/chaos/test_damaged_journal.py",
    "tests/batch/test_whole_batch.py",
    "tests/audition/test_commands.py",
    "tests/integration/test_probed_run.py",
    "tests/stages/test_train.py",
    "tests/integration/test_killed.py",
    "tests/sae_core/training/test_loop.py",
    "tests/sae_core/training/test_resume.py",
)
"""The files that take longest. They come first, so that no worker is left alone with one at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first, everything else as it was."""
    place = {name: number for number, name in enumerate(LONG)}
    items.sort(key=lambda item: place.get(item.location[0], len(place)))


@pytest.fixture
def unchecked() -> Iterator[None]:
    """No check of shapes, which takes three fifths of a small training: for tests of hundreds of steps, each of them
    such as shorter tests check."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)
