"""A study goes on where it stopped, and what it writes is drawn from its rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from autointerp.errors import ConfigError
from autointerp.progress import SilentProgress
from synthetic_studies.comparison import Comparison, describe
from synthetic_studies.document import render_table
from synthetic_studies.figure_style import new_figure
from synthetic_studies.known_codes import STUDY as KNOWN_CODES
from synthetic_studies.runner import StudyResult, choose_settings, run_study
from synthetic_studies.study import Cell, Row, Study, StudySettings, Table, select


class Toy(Study):
    """Three cells, of which one fails when told to."""

    name = "toy"
    title = "A toy"
    question = "What is two times a?"
    full = StudySettings()
    quick = StudySettings(n_seeds=2)

    def __init__(self, fails_at: str = "") -> None:
        self.fails_at = fails_at
        self.ran: list[str] = []

    def cells(self, settings: Any) -> list[Cell]:
        return [Cell(f"a={a}", {"a": a}) for a in (1, 2, 3)]

    def run(self, cell: Cell, settings: Any, on_fraction: Any) -> list[Row]:
        on_fraction(0.5)
        if cell.key == self.fails_at:
            raise KeyboardInterrupt
        self.ran.append(cell.key)
        return [{"a": cell.arguments["a"], "seed": seed, "twice": 2.0 * cell.arguments["a"]} for seed in range(2)]

    def comparisons(self, rows: Any, settings: Any) -> list[Comparison]:
        return [Comparison("a=2", 4.01, describe([row["twice"] for row in select(rows, a=2)]))]

    def tables(self, rows: Any, settings: Any) -> list[Table]:
        return [Table("By a", ("a", "twice"), tuple((str(row["a"]), str(row["twice"])) for row in rows))]

    def notes(self, rows: Any, settings: Any) -> list[str]:
        return [f"{len(rows)} rows."]

    def figure(self, rows: Any, settings: Any) -> Any:
        figure, axes = new_figure()
        axes[0, 0].plot([row["a"] for row in rows], [row["twice"] for row in rows])
        return figure


def run(study: Study, folder: Path, *, preset: str = "full", is_fresh: bool = False) -> StudyResult:
    settings = choose_settings(study, preset=preset, overrides={})
    return run_study(
        study,
        settings,
        preset=preset,
        folder=folder,
        command="autointerp synth toy",
        is_fresh=is_fresh,
        progress=SilentProgress(),
    )


def test_an_interrupted_study_goes_on(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(Toy(fails_at="a=3"), tmp_path)
    again = Toy()
    result = run(again, tmp_path)
    assert again.ran == ["a=3"]
    assert (result.n_rows, result.n_reproduced, result.n_compared) == (6, 1, 1)
    text = (tmp_path / "toy.md").read_text()
    for said in ("| a=2 | 4.010 | 4.000 ± 0.000 | -0.010 | within 0.05 |", "`autointerp synth toy`", "- 6 rows."):
        assert said in text
    assert (tmp_path / "toy.csv").read_text().count("\n") == 7
    assert (tmp_path / "toy.png").read_bytes().startswith(b"\x89PNG")
    assert not list(tmp_path.glob("*.tmp"))
    fresh = Toy()
    run(fresh, tmp_path, is_fresh=True)
    assert fresh.ran == ["a=1", "a=2", "a=3"]


def test_a_small_preset_draws_no_conclusions(tmp_path: Path) -> None:
    run(Toy(), tmp_path, preset="quick")
    text = (tmp_path / "toy.md").read_text()
    assert "6 rows." not in text and "smaller than the paper's setting" in text
    with pytest.raises(ConfigError, match="preset"):
        run(Toy(), tmp_path, preset="full")


def test_a_bar_in_a_text_does_not_end_its_column() -> None:
    text = render_table(Table("T", ("mean |r|", "b"), (("|x|", "1"),), "A note."))
    assert text.splitlines() == ["## T", "", r"| mean \|r\| | b |", "|---|---|", r"| \|x\| | 1 |", "", "A note."]


def test_the_same_rows_make_the_same_files(tmp_path: Path) -> None:
    for name in ("one", "two"):
        run(Toy(), tmp_path / name)
    for name in ("toy.csv", "toy.png"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


@pytest.mark.parametrize(
    ("preset", "overrides", "message"),
    [
        ("big", {}, "--preset 'big' is unknown; use quick or full"),
        ("quick", {"n_step": 3}, "study known-codes has no setting 'n_step'; it has .*n_steps"),
        ("quick", {"n_steps": 0.5}, "n_steps = 0.5 must be of the form 2000"),
        ("quick", {"n_steps": 0}, "n_steps = 0 must be at least 1"),
        ("quick", {"learning_rate": "x"}, "learning_rate = 'x' must be of the form 0.001"),
    ],
)
def test_wrong_settings_are_the_users_error(preset: str, overrides: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        choose_settings(KNOWN_CODES, preset=preset, overrides=overrides)


def test_settings_take_their_own_types() -> None:
    found = choose_settings(KNOWN_CODES, preset="full", overrides={"learning_rate": 1, "n_seeds": 2})
    assert (found.learning_rate, found.n_seeds, found.n_steps) == (1.0, 2, 20_000)
