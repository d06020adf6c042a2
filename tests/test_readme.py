"""README and architecture say what is there: folders, commands, links; and every folder of the code stands there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.main import get_command

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


def commands() -> set[str]:
    from autointerp.cli.main import app

    group = get_command(app)
    return set(group.commands)  # type: ignore[attr-defined]


def test_the_folders_of_the_architecture_are_those_of_the_code() -> None:
    table = ARCHITECTURE.split("| folder | what it holds |", 1)[1].split("## A walk", 1)[0]
    rows = [re.findall(r"`([\w/]+)/`", row.split(" | ")[0]) for row in table.splitlines() if row.startswith("| `")]
    assert len(rows) == 13
    # `score/` after `autointerp/explain/` is its neighbour
    named = {(ROOT / row[0]).parent / name.split("/")[-1] for row in rows for name in row}
    assert all(path.is_dir() for path in named)
    packages = {path.parent for path in (ROOT / "autointerp").glob("*/__init__.py")}
    assert packages | {ROOT / "sae_core", ROOT / "synthetic_studies"} <= named


def test_every_command_stands_in_the_readme_and_no_other() -> None:
    table = README.split("| command | what it does |", 1)[1].split("Exit codes", 1)[0]
    named = {word.split()[0] for row in table.splitlines() for word in re.findall(r"`([^`]+)`", row.split(" | ")[0])}
    assert named == commands()


def test_the_readme_says_how_to_call_the_command_before_it_calls_it() -> None:
    blocks = re.findall(r"```sh\n(.*?)```", README, flags=re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    first = next(number for number, line in enumerate(lines) if line.startswith("autointerp "))
    assert any(line.startswith("source .venv/bin/activate") for line in lines[:first])


def test_every_command_line_of_the_readme_names_a_command() -> None:
    lines = re.findall(r"^autointerp (\w+)", README, flags=re.MULTILINE)
    assert lines
    assert set(lines) <= commands()


LINK = re.compile(r"\]\(([\w./]+)\)")


@pytest.mark.parametrize("path", sorted({*LINK.findall(README), *(f"docs/{p}" for p in LINK.findall(ARCHITECTURE))}))
def test_every_link_leads_somewhere(path: str) -> None:
    assert (ROOT / path).exists()


def test_every_target_of_the_makefile_that_the_readme_names_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    assert set(re.findall(r"(?:^|`)make ([a-z-]+)", README, flags=re.MULTILINE)) <= targets
