"""`steer` holds a feature of a run; what is held, measured and refused is as said, in one line."""

from __future__ import annotations

import json

import pytest
import torch

from autointerp.cli.steer_commands import PLACE_NAMES
from autointerp.interventions.prompts import Prompts
from autointerp.interventions.steering import PLACES, where
from autointerp.run import Run
from tests.integration.commands import call
from tests.integration.conftest import World

PROMPT = "Ada crossed the river"


def steered(world: World, capsys: pytest.CaptureFixture[str], *words: str, feature: str) -> dict:
    told = call(capsys, "steer", world.run.root, feature, "--prompt", PROMPT, "--tokens", "4", "--json", *words)
    assert told.code == 0, told.err
    return json.loads(told.out)


def test_a_feature_is_held_at_multiples_and_values(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    strongest = max(Run(world.run.root).evidence("sae"), key=lambda item: item.max_activation)
    name, largest = f"sae/{strongest.feature}", strongest.max_activation
    strengths = ["--strength", "3x", "--strength", str(3 * largest), "--strength", "0x", "--strength", "30x"]
    found = steered(world, capsys, *strengths, feature=name)
    assert found["max_activation"] == pytest.approx(largest)
    thrice, same, ablated, far = found["steered"]
    assert thrice["value"] == pytest.approx(3 * largest)
    assert thrice | {"value": 0} == same | {"value": 0}
    assert ablated["value"] == 0.0
    assert far["kl"] > thrice["kl"] > 0.0
    assert {each["prompt"] for each in found["steered"]} == {PROMPT}
    assert thrice["raised"][0][2] > thrice["raised"][0][1] and thrice["lowered"][0][2] < thrice["lowered"][0][1]
    again = steered(world, capsys, *strengths, feature=name)
    assert again == found


def test_a_prompt_of_which_nothing_is_held_is_as_it_was(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    (found,) = steered(world, capsys, "--strength", "40", "--at", "generated", feature="topk/0")["steered"]
    assert found["own"] is None and abs(found["kl"]) < 1e-6
    (last,) = steered(world, capsys, "--strength", "40", "--at", "last", feature="topk/0")["steered"]
    (number,) = steered(world, capsys, "--strength", "40", "--at=-1", feature="topk/0")["steered"]
    assert last == number and last["kl"] > 0


def test_people_read_it(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    prompts = ["--prompt", PROMPT, "--prompt", "key 0x"]
    text = call(capsys, "steer", world.run.root, "neurons/3", *prompts, "--strength", "5", "--tokens", "3").out
    assert f"prompt   {PROMPT!r}" in text and text.count("held at 5; its own largest value there") == 2
    assert "KL " in text and "raised   " in text


@pytest.mark.parametrize(
    ("feature", "words", "told"),
    [
        ("nothing", [], "feature 'nothing': give DICTIONARY/INDEX"),
        ("other/1", [], "has no dictionary 'other'; it has neurons, sae, topk, mlp, random"),
        ("sae/96", [], "'sae' has the features 0 to 95"),
        ("sae/1", ["--strength", "big"], "--strength big: give a number such as 8.5, or a multiple such as 2x"),
        ("sae/1", ["--strength", "1", "--at", "90"], "position 90: the shortest prompt has"),
        ("sae/1", ["--strength", "1", "--at", "end"], "--at end: use one of all, prompt, last, generated, or whole"),
        ("sae/1", ["--strength", "1", "--tokens", "300"], "--tokens 300: the subject has room for"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    feature: str, words: list[str], told: str, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    found = call(capsys, "steer", world.run.root, feature, "--prompt", PROMPT, *words)
    assert found.code == 2 and told in found.err and "Traceback" not in found.err


def test_a_multiple_needs_evidence(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    sampled = {item.feature for item in Run(world.run.root).evidence("sae")}
    other = next(feature for feature in range(96) if feature not in sampled)
    found = call(capsys, "steer", world.run.root, f"sae/{other}", "--prompt", PROMPT)
    assert found.code == 2 and "is not among the run's sampled features" in found.err


def test_places_are_counted_from_the_prompts_text() -> None:
    assert PLACE_NAMES.split(", ") == list(PLACES)
    is_text = torch.tensor([[False, True, True, True, False], [False, True, True, False, False]])
    prompts = Prompts(torch.zeros(2, 5, dtype=torch.int64), is_text)

    def held(at: str | list[int]) -> list[list[int]]:
        return [row.nonzero()[:, 0].tolist() for row in where(prompts, at, n_tokens=2)]

    assert held("prompt") == [[1, 2, 3], [1, 2]]
    assert held("last") == held([-1]) == [[3], [2]]
    assert held("generated") == [[4, 5], [3, 4]]
    assert held("all") == [[1, 2, 3, 4, 5], [1, 2, 3, 4]]
    assert held([0, -2]) == [[1, 2], [1]]
    assert where(prompts, [1], n_tokens=0).shape == is_text.shape
