"""What `import autointerp` and `import sae_core` offer: light to import, seen by type checkers, every name there."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import autointerp
from tests.integration.commands import environment

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("autointerp", "sae_core")
HEAVY = {"torch", "transformers", "transformer_lens", "numpy", "pandas", "pydantic", "openai"}
PROGRAM = """
import sys
import autointerp, sae_core
dir(autointerp), dir(sae_core)
loaded = sorted({name.partition(".")[0] for name in sys.modules})
from sae_core import DictionaryConfig
from autointerp import AutointerpError
assert "torch" not in sys.modules
print(*loaded)
"""


def test_importing_the_packages_loads_nothing_heavy() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, env=environment(), check=True
    )
    loaded = set(done.stdout.split())
    assert {"autointerp", "sae_core"} <= loaded
    assert not HEAVY & loaded


@pytest.mark.parametrize("name", PACKAGES)
def test_every_public_name_is_there_and_is_all_that_is_listed(name: str) -> None:
    package = importlib.import_module(name)
    assert dir(package) == sorted(package.__all__, key=lambda public: (public[0].islower(), public))
    for public in package.__all__:
        assert getattr(package, public).__name__ == public


@pytest.mark.parametrize("name", PACKAGES)
def test_a_type_checker_sees_the_same_names_in_the_same_modules(name: str) -> None:
    package = importlib.import_module(name)
    tree = ast.parse(Path(package.__file__ or "").read_text(encoding="utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    imported = {
        alias.name: node.module for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert imported == {public: f"{name}.{module}" for public, module in package._MODULES.items()}
    assert sorted(imported) == sorted(package.__all__)
    assert (ROOT / name / "py.typed").is_file()


def test_a_name_that_is_not_there_says_which_are() -> None:
    with pytest.raises(AttributeError, match=r"no attribute 'evaluat'; it has .*Run"):
        _ = autointerp.evaluat  # type: ignore[attr-defined]
