"""The README says what is there: its tree, its commands, its recipes."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest
from typer.main import get_command

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def load_renderer():
    spec = importlib.util.spec_from_file_location("render_tree", ROOT / "docs" / "render_tree.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_tree_is_current() -> None:
    module = load_renderer()
    assert module.render_tree() in README, "run: python docs/render_tree.py"


def commands() -> set[str]:
    from autointerp.cli.main import app

    group = get_command(app)
    return set(group.commands)  # type: ignore[attr-defined]


def test_every_command_stands_in_the_readme_and_no_other() -> None:
    table = README.split("| command | what it does |", 1)[1].split("Exit codes", 1)[0]
    named = {word.split()[0] for row in table.splitlines() for word in re.findall(r"`([^`]+)`", row.split(" | ")[0])}
    assert named == commands()


def test_every_command_line_of_the_readme_names_a_command() -> None:
    lines = re.findall(r"^autointerp (\w+)", README, flags=re.MULTILINE)
    assert lines
    assert set(lines) <= commands()


@pytest.mark.parametrize("path", sorted(set(re.findall(r"\]\(([\w./]+)\)", README))))
def test_every_link_leads_somewhere(path: str) -> None:
    assert (ROOT / path).exists()


def test_every_target_of_the_makefile_that_the_readme_names_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    assert set(re.findall(r"(?:^|`)make ([a-z-]+)", README, flags=re.MULTILINE)) <= targets
