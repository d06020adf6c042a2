"""The config explains itself: the reference is the schema's, a written config means what its recipe says."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from autointerp.cli.config_reference import (
    JUDGE_OPTIONS,
    _docstrings,
    _is_table,
    commented_config,
    iter_sections,
    render_reference,
)
from autointerp.config.loading import load_config, parse_config, read_tree
from autointerp.errors import ConfigError, PluginError
from autointerp.plugins import list_judges, open_judge
from autointerp.resources import resource
from tests.integration.commands import call, one_line

ROOT = Path(__file__).resolve().parents[2]
SECTIONS = list(iter_sections())
RECIPES = sorted(path.stem for path in resource("configs").glob("*.toml"))


def test_the_page_is_current() -> None:
    page = (ROOT / "docs" / "config.md").read_text(encoding="utf-8")
    assert page == render_reference(SECTIONS), "write it anew: autointerp config > docs/config.md"


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.name)
def test_every_key_says_what_it_is(section) -> None:
    told = _docstrings(section.model)
    assert not [key for key, field in section.model.model_fields.items() if not _is_table(field) and key not in told]


def test_types_bounds_and_defaults_are_those_of_the_schema() -> None:
    page = " ".join(render_reference(SECTIONS).split())
    for shown in (
        "**`seed`** (whole number, ≥ 0; default `0`): ",
        '**`n_features`** (whole number, > 0 or `"all"`; default `200`): ',
        "**`name`** (text; must be given): ",
        '**`loss`** (`"mse"`, `"normalised_mse"`; default `"mse"`): ',
        "**`max_usd`** (number, ≥ 0; left out by default): ",
        "## `[[score.scorers]]`",
        "## `[score.sequential]`",
        "## `[judges.openai]`",
    ):
        assert shown in page


def test_the_options_of_every_built_in_judge_that_has_some_are_there() -> None:
    """A judge that is told a wrong option lists those it has, if only it can be opened here."""
    for judge in list_judges():
        if not judge.is_builtin:
            continue
        with pytest.raises((ConfigError, PluginError)) as refused:
            open_judge(f"{judge.name}:model", {"no_such_option": 1})
        said = str(refused.value)
        if "options: " in said:
            listed = [name for name in said.split("options: ", 1)[1].split(", ") if name]
            known = JUDGE_OPTIONS.get(judge.name)
            assert listed == (list(known.model_fields) if known else [])


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_written_config_means_what_the_recipe_says(recipe: str) -> None:
    written = commented_config(read_tree(recipe))
    assert parse_config(tomllib.loads(written)) == load_config(recipe)


def test_every_default_that_is_commented_out_is_the_default() -> None:
    """With the comment signs of assignments taken off, nothing changes."""
    before, _, after = commented_config(read_tree("own_sae")).partition("# [score.sequential]")
    always_there = before + after[after.index("\n[controls]") :]
    written = re.sub(r"^# (\w+ = (?!\.\.\.))", r"\1", always_there, flags=re.MULTILINE)
    assert written.count("\n# ") < always_there.count("\n# ") - 40
    assert parse_config(tomllib.loads(written)) == load_config("own_sae")


def test_init_writes_a_config_that_can_be_planned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert call(capsys, "init").code == 0
    assert load_config(tmp_path / "autointerp.toml") == load_config("own_sae")
    assert call(capsys, "plan", "autointerp.toml").code == 0
    before = (tmp_path / "autointerp.toml").read_bytes()
    one_line(call(capsys, "init"), "autointerp.toml exists and is not overwritten")
    assert (tmp_path / "autointerp.toml").read_bytes() == before
    assert call(capsys, "init", "other.toml", "--recipe", "demo").code == 0
    assert load_config("other.toml") == load_config("demo")
    one_line(call(capsys, "init", "new.toml", "--recipe", "no"), "config 'no' does not exist")


def test_a_section_is_explained_alone(capsys: pytest.CaptureFixture[str]) -> None:
    shown = call(capsys, "config", "judges.coin")
    assert shown.out.startswith("## `[judges.coin]`\n")
    assert "**`heads`** (number, ≥ 0 and ≤ 1; default `0.5`)" in shown.out
    one_line(call(capsys, "config", "harvests"), "there is no such section; there are subject, ")
