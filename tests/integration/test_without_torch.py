"""The language half on a machine without the tensor half: everything after the harvest works."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from autointerp.runs.layout import RunLayout
from tests.integration.commands import environment

PROGRAM = """
import importlib, json, pkgutil, sys
from importlib import metadata

BANNED = {"torch", "transformers", "transformer_lens", "datasets", "safetensors", "tokenizers", "jaxtyping"}
if not any(line.startswith("click") for line in metadata.requires("typer")):
    BANNED.add("click")  # newer releases of typer bring none, so the base install has none


class Ban:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in BANNED:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


sys.meta_path.insert(0, Ban())
"""
IMPORTS = f"""{PROGRAM}
import autointerp
n = 0
packages = "audition batch judges prompting explain score explaining scoring workers stats board runs config records"
for package in [*packages.split(), "cli", "stages.asking"]:
    module = importlib.import_module(f"autointerp.{{package}}")
    n += 1
    for found in pkgutil.walk_packages(getattr(module, "__path__", []), f"{{module.__name__}}."):
        importlib.import_module(found.name)
        n += 1
slow = {{"scipy.stats", "scipy.optimize", "sklearn", "openai"}} & set(sys.modules)
print(json.dumps({{"n": n, "banned": sorted(BANNED & set(sys.modules)), "slow": sorted(slow)}}))
"""
COMMANDS = f"""{PROGRAM}
from autointerp.cli.main import _run
codes = [_run(words) for words in json.loads(sys.argv[1])]
print(json.dumps(codes))
"""


def python(program: str, *words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program, *map(str, words)],
        capture_output=True,
        text=True,
        env=environment(),
        check=False,
        timeout=120,
    )


def test_no_module_of_the_language_half_imports_the_tensor_half() -> None:
    done = python(IMPORTS)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["n"] > 60
    assert found["banned"] == []
    assert found["slow"] == [], "a second or more to import: only what needs it does"


@pytest.fixture(scope="module")
def run(finished: RunLayout, tmp_path_factory: pytest.TempPathFactory) -> RunLayout:
    return RunLayout(shutil.copytree(finished.root, tmp_path_factory.mktemp("copy") / "run"))


def commands(*lines: Sequence[str | Path]) -> tuple[list[int], subprocess.CompletedProcess[str]]:
    """The commands one after another in one process: their exit codes, and what they all said."""
    done = python(COMMANDS, json.dumps([[str(word) for word in line] for line in lines]))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1]), done


def test_a_finished_run_is_shown_and_scored_anew(run: RunLayout, tmp_path: Path) -> None:
    page = run.report.read_bytes()
    codes, done = commands(
        ("judges", "list"),
        ("leaderboard", run.root),
        ("report", run.root),
        ("rescore", run.root, "--out", tmp_path / "again", "--set", "score.judge='coin'"),
    )
    assert codes == [0] * 4, done.stderr
    for said in ("pattern", "neurons", str(run.report), str(tmp_path / "again" / "report.html")):
        assert said in done.stdout
    assert run.report.read_bytes() == page
    assert RunLayout(tmp_path / "again").scores.is_file()


def test_a_command_of_the_tensor_half_says_what_to_install(tmp_path: Path) -> None:
    codes, done = commands(("train", "demo", "--out", tmp_path / "run"), ("corpus",))
    assert codes == [2, 0], "texts need no tensor half"
    assert "Traceback" not in done.stderr
    (line,) = done.stderr.splitlines()
    assert "pip install '.[models]' in a checkout" in line
