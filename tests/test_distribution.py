"""Nothing tells people to fetch a package of another project: the name on the index is not ours."""

from __future__ import annotations

import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

from autointerp.distribution import DISTRIBUTION, how_to_install, installed_version

ROOT = Path(__file__).resolve().parents[1]
SHOWN = ("README.md", "CONTRIBUTING.md", "docs/*.md", "examples/**/*.md", "autointerp/**/*.py", "sae_core/**/*.py")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_the_distribution_is_named_in_one_place_of_the_code() -> None:
    assert PROJECT["name"] == DISTRIBUTION
    holders = [
        path
        for tree in ("autointerp", "sae_core")
        for path in (ROOT / tree).rglob("*.py")
        if DISTRIBUTION in path.read_text()
    ]
    assert holders == [ROOT / "autointerp" / "distribution.py"]


def test_the_sample_plug_in_depends_on_it() -> None:
    sample = tomllib.loads((ROOT / "examples" / "sample_plugins" / "pyproject.toml").read_text(encoding="utf-8"))
    assert sample["project"]["dependencies"] == [DISTRIBUTION]


@pytest.mark.parametrize("pattern", SHOWN)
def test_no_text_names_a_package_to_fetch_that_is_not_ours(pattern: str) -> None:
    texts = {path: path.read_text(encoding="utf-8") for path in ROOT.glob(pattern)}
    assert texts
    for path, text in texts.items():
        assert not re.search(r"pip install (?:-\S+ )*['\"]?autointerp|\bautointerp\[", text), path


@pytest.mark.parametrize("extra", ["models", "vllm", "wandb", "remote"])
def test_an_extra_is_installed_from_a_checkout(extra: str) -> None:
    assert extra in PROJECT["optional-dependencies"]
    assert how_to_install(extra).startswith(f"pip install '.[{extra}]'")


def test_the_version_is_that_of_the_distribution(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "version", lambda name: {"autointerp-bench": "9.9"}[name])
    assert installed_version() == "9.9"


def test_a_checkout_that_was_never_installed_has_no_version(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    assert installed_version() is None
