"""`synth` lists studies without torch, runs one into a folder, and says what is wrong on one line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from autointerp.cli import main
from synthetic_studies.registry import STUDIES

SMALL = ["--set", "n_samples=64", "--set", "n_features_values=[32]", "--set", "k_values=[2]", "--seeds", "2"]


def test_list_names_every_study(capsys: pytest.CaptureFixture[str]) -> None:
    assert main._run(["synth", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(STUDIES)
    assert main._run(["synth", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == STUDIES


def test_list_loads_neither_torch_nor_matplotlib() -> None:
    program = (
        "import sys\nfrom autointerp.cli import main\nmain._run(['synth', 'list'])\n"
        "assert not {'torch', 'matplotlib', 'sae_core.training.loop'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_study_is_run_and_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["synth", "phase", "--out", str(tmp_path), *SMALL, "--json"]
    assert main._run(words) == 0
    [result] = json.loads(capsys.readouterr().out)
    folder = tmp_path / "phase"
    assert result["folder"] == str(folder) and result["n_rows"] == 24
    names = {"cells.jsonl", "phase.csv", "phase.md", "phase.png"}
    assert {path.name for path in folder.iterdir()} == names
    assert "`autointerp synth phase --preset quick --set n_samples=64" in (folder / "phase.md").read_text()
    before = (folder / "cells.jsonl").read_bytes()
    assert main._run(words) == 0
    assert (folder / "cells.jsonl").read_bytes() == before
    capsys.readouterr()
    assert main._run([*words[:-1], "--seeds", "3"]) == 2
    assert "n_seeds (2, now 3)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["synth", "fase"], "unknown study 'fase'; did you mean 'phase'?"),
        (["synth", "phase", "--preset", "huge"], "--preset 'huge' is unknown; use quick or full"),
        (["synth", "phase", "--set", "k=3"], "study phase has no setting 'k'"),
        (["synth", "phase", "--set", "k"], "--set 'k' is not of the form KEY=VALUE"),
    ],
)
def test_a_wrong_word_is_one_line(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main._run(words) == 2
    out, err = capsys.readouterr()
    assert out == "" and message in err and err.count("\n") == 1
