"""The embedded default in a network namespace without interfaces: it needs no network."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from autointerp.resources import resource
from tests.integration.commands import command, environment
from tests.integration.world import DICTIONARIES


def isolated() -> list[str]:
    """The command that runs another without any network; skips where that is not permitted."""
    for options in (["-n"], ["-rn"]):
        words = ["unshare", *options]
        if shutil.which("unshare") is None:
            break
        if subprocess.run([*words, "true"], capture_output=True, check=False).returncode == 0:
            return words
    pytest.skip("network namespaces are not permitted here (unshare)")


@pytest.mark.full
def test_the_demo_needs_no_network(tmp_path: Path) -> None:
    if not (resource("subjects/builtin") / "model.safetensors").is_file():
        pytest.skip("the builtin subject's weights are not there")
    out = tmp_path / "run"
    words = [*isolated(), *command("demo", "--out", out)]
    home = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache"), "OMP_NUM_THREADS": "2"}
    env = environment(**home)
    del env["HF_HUB_OFFLINE"]
    start = time.monotonic()
    done = subprocess.run(words, capture_output=True, text=True, env=env, timeout=1200, check=False)
    assert done.returncode == 0, done.stderr
    print(f"the demo took {time.monotonic() - start:.0f} s")  # noqa: T201  # a figure for whoever reads the log
    summary = json.loads((out / "summary.json").read_text())
    assert [entry["name"] for entry in summary["entries"]] == list(DICTIONARIES)
    for entry in summary["entries"]:
        assert entry["n_sampled"] == 200
        assert entry["n_scored"] >= 100
        assert entry["f1"]["lo"] < entry["f1"]["mean"] < entry["f1"]["hi"]
        assert entry["name"] in done.stdout
