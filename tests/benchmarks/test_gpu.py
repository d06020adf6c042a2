"""The measurement that needs a GPU: refused without one, and what of it runs on the host."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from benchmarks import gpu
from benchmarks.workload import Job
from tests.frozen.facts import FROZEN


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_a_device_it_is_refused_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert gpu.main([]) == 2
    out, err = capsys.readouterr()
    assert (out, len(err.splitlines())) == ("", 1)
    assert "no CUDA device" in err


def test_a_part_that_fails_is_told_and_the_rest_goes_on() -> None:
    def fails() -> str:
        raise RuntimeError("first\nthe last line")

    assert gpu.section("Part", fails) == "## Part\n\nFailed: RuntimeError: the last line"
    assert gpu.section("Part", lambda: "fine") == "## Part\n\nfine"


def test_a_race_gives_one_row_per_contestant() -> None:
    """Ours, on the host."""
    text = gpu.race(Job("topk", 64, d_in=16, batch=32, k=4), ("ours",), n_steps=2)
    rows = [line for line in text.splitlines() if line.startswith("| sae_core")]
    assert len(rows) == 1 and rows[0].count("|") == 5


def test_what_vllm_is_asked_by_is_a_command_that_there_is(tmp_path: Path) -> None:
    command, *words = gpu.judge_command(tmp_path / "run", tmp_path / "out", "m")
    known = (FROZEN / "cli_options.txt").read_text().splitlines()
    assert all(f"autointerp {command} {word}" in known for word in words if word.startswith("--"))
