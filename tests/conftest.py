"""Tensor shapes and types stated in signatures are checked while tests of their packages run, or all of them."""

import functools
import gc
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import jaxtyping
import pytest
import torch
import typer.main
from hypothesis import settings

from autointerp.memory import collect_rarely

# Processes are forked in tests, and OpenMP threads that were started before a fork never answer after it.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Of what a shell starts in the background Ctrl-C is ignored, and what that starts inherits it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

collect_rarely()  # as the command line does

# "auto" is float32 in tests, whatever the processor multiplies in hardware.
torch.cpu.get_capabilities = dict

jaxtyping.install_import_hook(["sae_core", "autointerp.subject", "autointerp.harvest", "subjects"], "beartype.beartype")

settings.register_profile("few", max_examples=25, deadline=None)
settings.register_profile("many", max_examples=100, deadline=None)
settings.load_profile("few")

# A process calls the command line once, tests a thousand times: what it would build and look up anew is kept, entry
# points as long as no folder of the path has changed.
typer.main.get_command = functools.cache(typer.main.get_command)
_entry_points = metadata.entry_points
_entry_points_of = functools.cache(lambda _folders, **wanted: _entry_points(**wanted))


def _known_entry_points(**wanted: str) -> metadata.EntryPoints:
    folders = [Path(folder) for folder in sys.path]
    found = tuple((folder, folder.stat().st_mtime_ns) for folder in folders if folder.exists())
    return _entry_points_of(found, **wanted)


metadata.entry_points = _known_entry_points

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
    "tests/audition/test_hard_level.py",
    "tests/audition/test_concepts.py",
    "tests/integration/test_probed_run.py",
    "tests/stages/test_train.py",
    "tests/stages/test_sinks.py",
    "tests/integration/test_killed.py",
    "tests/integration/test_object_store.py",
    "tests/engine/test_two_workers.py",
    "tests/engine/test_killed_workers.py",
    "tests/integration/test_seeds.py",
    "tests/site/test_site.py",
    "tests/site/test_large_site.py",
    "tests/judges/human/test_human.py",
    "tests/sae_core/training/test_loop.py",
    "tests/sae_core/training/test_resume.py",
)
"""The files that take longest. They come first, so that no worker is left alone with one at the end."""


SHARING = ("tests/audition", "tests/engine")
"""Folders whose files share what is made once per process (exams, Ray), so that one worker has them all."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first, everything else as it was. pytest then brings together what shares a fixture's parameter."""
    place = {name: number for number, name in enumerate(LONG)}
    items.sort(key=lambda item: place.get(item.location[0], len(place)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """A file, or a sharing folder, goes to one worker."""
    from xdist.scheduler import LoadFileScheduling

    class BySharing(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return next((folder for folder in SHARING if nodeid.startswith(folder + "/")), super()._split_scope(nodeid))

    return BySharing(config, log)


def pytest_collection_finish() -> None:
    _keep_what_is_there()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    yield
    if nextitem is not None and (nextitem.location[0] != item.location[0] or len(sys.modules) > _n_loaded):
        _keep_what_is_there()


_n_loaded = 0
"""Modules, when garbage was last collected for good."""


def _keep_what_is_there() -> None:
    """What tests have imported, and what files have left, stays: no collection of garbage has to walk through it again,
    and each stage of a run ends with one."""
    global _n_loaded
    _n_loaded = len(sys.modules)
    gc.collect()
    gc.freeze()


CHECKED = ("tests/sae_core/", "tests/subject/", "tests/subjects/", "tests/harvest/")
"""Where shapes are checked; checks are a fifth of what whole runs take, so elsewhere under `make test-all` alone."""


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    is_checked = item.location[0].startswith(CHECKED) or item.config.getoption("--hypothesis-profile") == "many"
    jaxtyping.config.update("jaxtyping_disable", not is_checked)


@pytest.fixture
def unchecked() -> None:
    """No check of shapes, which takes three fifths of a small training: for tests of hundreds of steps, each of them
    such as shorter tests check."""
    jaxtyping.config.update("jaxtyping_disable", True)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A browser without a window, for the tests of pages."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    binary = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if binary is None:
        pytest.skip("no Chromium on this machine: install the package 'chromium' to test pages in a browser")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=binary, args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        )
        yield browser
        browser.close()
