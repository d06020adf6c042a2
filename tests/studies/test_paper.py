"""The study of a paper, by a made-up paper: its recipes, its parts kept and gone on with, its page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import Field

from autointerp.config.section import Positive
from autointerp.errors import ConfigError
from autointerp.progress import SilentProgress
from autointerp.stats.intervals import Interval
from autointerp.studies.claim import Claim, render_interval, verdict_of
from autointerp.studies.paper import (
    Finding,
    PaperStudy,
    Part,
    Setting,
    StudyOptions,
    measure_parts,
    open_settings,
)
from autointerp.studies.paper_page import write_page

RECIPE = """
name = "little"
[[dictionaries]]
name = "neurons"
kind = "identity"
[study]
n_prompts = 3
why = "It is quick."
"""


class Options(StudyOptions):
    n_prompts: Positive = 8
    proxies: dict[str, str] = Field(default_factory=dict)


class MadeUp:
    """A study of two parts that count how often they are measured."""

    def __init__(self) -> None:
        self.measured: list[str] = []
        self.study = PaperStudy(
            name="made-up",
            title="A made-up paper",
            about="Nothing is claimed.",
            options=Options,
            parts=(Part("first", "The first", self.first), Part("second", "The second", self.second)),
            presets={"quick": ("one", "two")},
        )

    def first(self, setting: Setting[Options]) -> Finding:
        from synthetic_studies.figure_style import new_figure

        self.measured.append("first")
        figure, axes = new_figure()
        axes[0, 0].plot([0, 1])
        claim = Claim("more | is more", "7", f"{setting.options.n_prompts}", "holds", "three is many")
        return Finding([claim], {"points": [{"x": 0.5, "y": 1}]}, {"points": figure}, ["A note."])

    def second(self, setting: Setting[Options]) -> Finding:
        self.measured.append("second")
        return Finding([Claim("less is less", "-", "1", "undecided")])

    def settings(self, folder: Path, *overrides: str, recipe: str = RECIPE) -> list[Setting[Options]]:
        path = folder.parent / "little.toml"
        path.write_text(recipe)
        given: dict[str, Any] = {"preset": "quick", "overrides": overrides, "progress": SilentProgress()}
        return open_settings(self.study, recipe=str(path), folder=folder, **given)

    def measure(self, folder: Path, *overrides: str, **given: bool) -> list[str]:
        """Names of the parts that this call measured."""
        self.measured = []
        self.done = list(measure_parts(self.study, self.settings(folder, *overrides), folder=folder, **given))
        return self.measured


def test_a_part_is_kept_until_what_it_was_measured_with_changes(tmp_path: Path) -> None:
    made, out = MadeUp(), tmp_path / "out"
    assert made.measure(out) == ["first", "second"]
    kept = made.done
    assert made.measure(out) == []
    assert made.done == kept
    assert made.measure(out, "study.why='Another reason.'") == []
    (out / "little-points.csv").unlink()
    assert made.measure(out) == ["first"]
    (out / "parts" / "little-second.json").write_text('{"claims": [')
    assert made.measure(out) == ["second"]
    assert made.measure(out, "study.n_prompts=4") == ["first", "second"]
    assert made.measure(out, "study.n_prompts=4", "seed=1") == ["first", "second"]
    assert made.measure(out, "study.n_prompts=4", "seed=1", is_fresh=True) == ["first", "second"]


def test_the_page_holds_claims_figures_and_how_it_was_made(tmp_path: Path) -> None:
    made, out = MadeUp(), tmp_path / "out"
    made.measure(out)
    page = write_page(made.study, made.settings(out), made.done, folder=out, command="autointerp study made-up")
    assert (out / "made-up.md").read_text() == page
    assert "| more \\| is more | 7 | 3 | **holds** | little | three is many |" in page
    assert "![The first, little](little-points.png)" in page
    assert "`little-points.csv`" in page
    for text in ("`autointerp study made-up`", "It is quick.", "A note.", "## The second"):
        assert text in page
    assert str(tmp_path) not in page
    assert (out / "little-points.png").read_bytes().startswith(b"\x89PNG")
    assert (out / "little-points.csv").read_text() == "x,y\n0.5,1\n"
    assert (out / "claims.csv").read_text().splitlines()[0] == "part,on,claim,theirs,ours,verdict,why"


def test_a_part_can_be_chosen_and_options_be_set(tmp_path: Path) -> None:
    made, out = MadeUp(), tmp_path / "out"
    assert made.measure(out, 'study.parts=["second"]') == ["second"]
    (setting,) = made.settings(out, "study.proxies.digits='[0-9]+'", "subject.layer=2")
    assert setting.options.proxies == {"digits": "[0-9]+"}
    assert setting.config.subject.layer == 2


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("study.parts=['third']", "study.parts: made-up has no part 'third'; it has first, second"),
        ("study.n_promts=4", "unknown key 'study.n_promts' in the config; did you mean 'n_prompts'?"),
        ("study.n_prompts=0", "study.n_prompts = 0: "),
        ("subjekt.layer=1", "unknown key 'subjekt'"),
    ],
)
def test_a_mistake_is_named_before_anything_is_measured(tmp_path: Path, override: str, said: str) -> None:
    made = MadeUp()
    with pytest.raises(ConfigError) as error:
        made.measure(tmp_path / "out", override)
    assert str(error.value).startswith(said)
    assert not made.measured


def test_an_unknown_preset_is_named(tmp_path: Path) -> None:
    given: dict[str, Any] = {"recipe": None, "overrides": (), "folder": tmp_path, "progress": SilentProgress()}
    with pytest.raises(ConfigError, match="--preset quik: no such preset of made-up; use one of quick"):
        open_settings(MadeUp().study, preset="quik", **given)


@pytest.mark.parametrize(
    ("lo", "hi", "bound", "verdict"),
    [
        (0.2, 0.4, {"above": 0.1}, "holds"),
        (0.2, 0.4, {"above": 0.3}, "undecided"),
        (0.2, 0.4, {"above": 0.5}, "does not hold"),
        (0.2, 0.4, {"below": 0.5}, "holds"),
        (0.2, 0.4, {"below": 0.2}, "undecided"),
        (0.2, 0.4, {"below": 0.1}, "does not hold"),
    ],
)
def test_a_verdict_takes_the_whole_interval(lo: float, hi: float, bound: dict[str, float], verdict: str) -> None:
    assert verdict_of(Interval(0.3, lo, hi, 9), **bound) == verdict


def test_what_was_not_measured_has_no_verdict() -> None:
    assert verdict_of(None, above=0.0) == "not measured"
    assert render_interval(None) == "-"
    assert render_interval(Interval(0.5, 0.25, 0.75, 1200)) == "0.50 [0.25, 0.75], n 1,200"
    with pytest.raises(ValueError, match="one bound"):
        verdict_of(Interval(0.5, 0.2, 0.8, 3))
