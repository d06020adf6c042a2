"""The README says what is there: its folders, its commands, its links."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.main import get_command

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def commands() -> set[str]:
    from autointerp.cli.main import app

    group = get_command(app)
    return set(group.commands)  # type: ignore[attr-defined]


def test_every_folder_that_the_readme_names_exists() -> None:
    table = README.split("| folder | what it holds |", 1)[1].split("## Papers", 1)[0]
    named = [re.findall(r"`([\w/]+)/`", row.split(" | ")[0]) for row in table.splitlines() if row.startswith("| `")]
    assert len(named) >= 10
    for first, *others in named:
        paths = [ROOT / first, *(_beside(first, other) for other in others)]
        assert all(path.is_dir() for path in paths)


def _beside(first: str, other: str) -> Path:
    """`score/` after `autointerp/explain/` is its neighbour; `configs/` after `prompts/` is one of its own."""
    return (ROOT / first).parent / other


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


@pytest.mark.parametrize("path", sorted(set(re.findall(r"\]\(([\w./]+)\)", README))))
def test_every_link_leads_somewhere(path: str) -> None:
    assert (ROOT / path).exists()


def test_every_target_of_the_makefile_that_the_readme_names_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    assert set(re.findall(r"(?:^|`)make ([a-z-]+)", README, flags=re.MULTILINE)) <= targets
