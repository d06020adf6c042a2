"""The parts of the study of Bricken et al. 2023 on the tiny world's run, from its trained dictionaries on."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from autointerp.config.loading import render_config
from autointerp.errors import ConfigError
from autointerp.progress import SilentProgress
from autointerp.run import Run
from autointerp.studies.bricken2023.study import STUDY
from autointerp.studies.paper import Done, measure_parts, open_settings
from autointerp.studies.reading import open_trained
from tests.integration.conftest import World

CHEAP = ("density", "loss", "proxies", "neurons", "splitting", "steering", "automata")


def study(world: World, out: Path, *parts: str, main: str = "sae", extra: str = "") -> dict[str, Done]:
    """Parts measured below `out`, where the world's run lies already."""
    recipe = out.parent / "recipe.toml"
    options = f"[study]\nparts = {list(parts)}\nn_prompts = 2\nn_sampled = 3\nmain = '{main}'\n{extra}"
    recipe.write_text(f"{render_config(world.config())}\n{options}")
    if not (out / "runs" / "tiny").is_dir():
        shutil.copytree(world.run.root, out / "runs" / "tiny")
    settings = open_settings(
        STUDY, preset="quick", recipe=str(recipe), overrides=(), folder=out, progress=SilentProgress()
    )
    return {done.part: done for done in measure_parts(STUDY, settings, folder=out)}


@pytest.mark.parametrize("parts", [("proxies",), pytest.param(CHEAP, marks=pytest.mark.full)], ids=["one", "all"])
def test_every_part_gives_claims_and_what_they_rest_on(world: World, tmp_path: Path, parts: tuple[str, ...]) -> None:
    out = tmp_path / "study"
    digits = "[study.proxies]\ndigits = '[0-9]{4}'\n"
    done = study(world, out, *parts, extra=digits)
    assert list(done) == [part.name for part in STUDY.parts if part.name in parts]
    assert all(each.claims for each in done.values())
    for each in done.values():
        assert all((out / f"{name}.csv").stat().st_size for name in each.tables)
        assert all((out / f"{name}.png").read_bytes().startswith(b"\x89PNG") for name in each.figures)
    (told,) = (claim for claim in done["proxies"].claims if "digits" in claim.claim)
    assert told.ours.startswith("sae/")
    (absent,) = (claim for claim in done["proxies"].claims if "arabic" in claim.claim)
    assert absent.verdict == "not measured"


def test_a_reading_holds_the_text_and_the_codes_of_its_tokens(world: World) -> None:
    run = open_trained(Run(world.run.root))
    reading = run.read("score")
    assert reading.n_tokens == 8000
    places = zip(reading.document, reading.start, reading.end, strict=True)
    pieces = [reading.texts[number][start:end] for number, start, end in places]
    assert pieces == [run.text.pieces[token] for token in reading.token]
    documents = {doc.id: doc.text for doc in run.bench.corpus.iter_documents("score")}
    for name, raw in zip(reading.documents, reading.texts, strict=True):
        assert documents[name].encode().startswith(raw)
    assert reading.has_next.sum() == reading.n_tokens - len(reading.documents)
    # neurons are the subject's own activations: those of the identity fire on the largest
    assert reading.neurons is not None
    codes = reading.codes["neurons"].toarray()
    fires = codes > 0
    assert 0 < fires.mean() < 0.5
    for neuron in np.flatnonzero(fires.any(axis=0))[:5]:
        assert reading.neurons[fires[:, neuron], neuron].min() > reading.neurons[~fires[:, neuron], neuron].max()


def test_a_main_dictionary_that_is_not_trained_is_named(world: World, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"study.main = 'neurons': no trained dictionary of that name; use one of"):
        study(world, tmp_path / "study", "loss", main="neurons")


@pytest.mark.full
def test_features_are_looked_for_in_a_second_subject(world: World, tmp_path: Path) -> None:
    """The world's subject again, at its other layer: every token is aligned, and neurons are compared."""
    second = f"second = '{world.model}'\nsecond_layer = 0\n"
    done = study(world, tmp_path / "study", "universality", extra=second)["universality"]
    seeds, subjects = done.claims
    assert seeds.verdict != "not measured"
    assert "of neurons" in subjects.ours
    assert "100% of the tokens end" in subjects.why
