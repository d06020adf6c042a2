"""Make the fixtures of tests/sae_core/foreign: each tool saves small dictionaries in its own environment.

Usage: python benchmarks/interop/make_fixtures.py [--check]. The environments are those of benchmarks/.envs. With
`--check` nothing is replaced: the fixtures are made elsewhere and compared, value by value, with the committed ones.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
FIXTURES = ROOT / "tests" / "sae_core" / "foreign" / "fixtures"
TOOLS = ("saelens", "sparsify", "dictionary_learning")
MAX_BYTES = 300_000


def main() -> None:
    """Make or check them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare with the committed fixtures, replace nothing")
    is_check = parser.parse_args().check
    with tempfile.TemporaryDirectory() as name:
        made = Path(name)
        for tool in TOOLS:
            run_in(tool, HERE / f"save_with_{tool}.py", made / tool)
        if is_check:
            check(made)
            return
        for tool in TOOLS:
            shutil.rmtree(FIXTURES / tool, ignore_errors=True)
            shutil.copytree(made / tool, FIXTURES / tool)
    n_bytes = sum(path.stat().st_size for path in FIXTURES.rglob("*") if path.is_file())
    print(f"{FIXTURES.relative_to(ROOT)}: {n_bytes:,} bytes")
    if n_bytes > MAX_BYTES:
        sys.exit(f"more than {MAX_BYTES:,} bytes: make the dictionaries smaller")


def run_in(tool: str, script: Path, folder: Path) -> None:
    """Run a script in a tool's environment, quietly unless it fails."""
    python = ROOT / "benchmarks" / ".envs" / tool / "bin" / "python"
    if not python.exists():
        sys.exit(f"{python.relative_to(ROOT)} is missing; make the environments first (see benchmarks/)")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}
    command = [str(python), str(script), str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")


def check(made: Path) -> None:
    """Every tensor of every expectation agrees to 1e-6; exits 1 where one does not."""
    from safetensors.torch import load_file

    worst, where = 0.0, ""
    for path in sorted(made.rglob("expected.safetensors")):
        new, old = load_file(path), load_file(FIXTURES / path.relative_to(made))
        for name in new:
            gap = float((new[name] - old[name]).abs().max())
            worst, where = max((worst, where), (gap, f"{path.parent.relative_to(made)}:{name}"))
    print(f"largest difference from the committed fixtures: {worst:.2g} {where}")
    sys.exit(worst > 1e-6)


if __name__ == "__main__":
    main()
