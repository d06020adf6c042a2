"""The study of Cunningham et al. 2023 where the truth is known: planted duplicates, concepts and circuits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from autointerp.config.sites import SitePoint
from autointerp.errors import ConfigError, InputError, SubjectError
from autointerp.harvest.firing import FiringRules
from autointerp.interventions.prompts import Prompts
from autointerp.interventions.reading import ReadPrompts
from autointerp.progress import SilentProgress
from autointerp.studies.cunningham2023.cases import Case, remove
from autointerp.studies.cunningham2023.concepts import ConceptText, find_feature
from autointerp.studies.cunningham2023.localisation import choose_task
from autointerp.studies.cunningham2023.options import CunninghamOptions, main_entry, points
from autointerp.studies.cunningham2023.sparsity import find_duplicates
from autointerp.studies.cunningham2023.study import STUDY
from autointerp.studies.paper import Setting, measure_parts, open_settings
from autointerp.studies.paper_page import write_page
from autointerp.subject.tokens import TokenText
from sae_core.architectures.fixed import IdentityDictionary
from sae_core.architectures.relu import ReluDictionary
from sae_core.config import DictionaryConfig
from tests.integration.world import save_subject
from tests.studies.conftest import WORDS, save_marked_corpus

TEXT = TokenText(tuple(word.encode() for word in WORDS), adds_space=False)
POINT = SitePoint("resid_post", 1)


def sae(directions: torch.Tensor, *, bias: float = 0.0) -> ReluDictionary:
    """Codes are the products with the directions that exceed -bias."""
    n, d_in = directions.shape
    made = ReluDictionary(DictionaryConfig(kind="relu", n_features=n), d_in=d_in, draw=torch.Generator())
    with torch.no_grad():
        made.W_dec.copy_(torch.nn.functional.normalize(directions, dim=1))
        made.W_enc.copy_(made.W_dec)
        made.b_enc.fill_(bias)
    return made.eval().requires_grad_(False)


def marked_text(seed: int, n: int = 400) -> ConceptText:
    """Tokens whose activation is their own coordinate, and a second one for every mark."""
    tokens = torch.randint(0, len(WORDS), (n // 20, 20), generator=torch.Generator().manual_seed(seed))
    x = torch.nn.functional.one_hot(tokens, 8).float()
    x[..., 7] = torch.isin(tokens, torch.tensor([1, 4])).float() * 3  # "'" and "it's"
    row, place = torch.ones_like(tokens).nonzero(as_tuple=True)
    return ConceptText(x.flatten(0, 1), tokens.flatten(), row, place, tokens)


def test_the_feature_of_a_concept_is_found_and_measured_on_other_text() -> None:
    halves = marked_text(0), marked_text(1)
    dictionary = sae(torch.eye(8), bias=-0.5)
    found = find_feature("sae", dictionary, FiringRules.above_zero(8), "apostrophe", halves, TEXT)
    assert (found.feature, found.correlation) == (7, pytest.approx(1.0))
    assert set(found.sensitivity) == set(found.precision) == {1.0}
    assert len(found.sensitivity) == int(torch.isin(halves[1].tokens, torch.tensor([1, 4])).sum())
    assert set(found.tokens) == {"'", "it's"}


def test_half_a_concept_is_half_as_sensitive_and_its_neighbour_half_as_precise() -> None:
    halves = marked_text(0), marked_text(1)
    x = halves[1].x
    own, other = sae(torch.eye(8)[1:2]), torch.zeros(1, 8)
    other[0, [1, 2]] = 1.0
    alone = find_feature("own", own, FiringRules.above_zero(1), "apostrophe", halves, TEXT)
    n_mark = float(torch.isin(halves[1].tokens, torch.tensor([1, 4])).sum())
    assert sum(alone.sensitivity) / len(alone.sensitivity) == pytest.approx(float(x[:, 1].sum()) / n_mark)
    assert set(alone.precision) == {1.0}
    both = find_feature("both", sae(other), FiringRules.above_zero(1), "apostrophe", halves, TEXT)
    share = float(x[:, 1].sum() / (x[:, 1] + x[:, 2]).sum())
    assert sum(both.precision) / len(both.precision) == pytest.approx(share)


def test_a_dense_coordinate_may_stand_for_a_concept_by_its_negative_side() -> None:
    halves = marked_text(0), marked_text(1)
    for half in halves:
        half.x[:, 7] *= -1
    share = float(torch.isin(halves[1].tokens, torch.tensor([1, 4])).float().mean())
    rules = FiringRules.quantile(torch.zeros(8), target_density=share * 0.98)
    basis = IdentityDictionary(DictionaryConfig(kind="identity"), d_in=8)
    found = find_feature("basis", basis, rules, "apostrophe", halves, TEXT)
    assert found.feature == 7 and found.correlation == pytest.approx(1.0)
    with pytest.raises(ValueError, match="closing parenthesis"):
        find_feature("basis", basis, rules, "closing parenthesis", halves, TEXT)


def test_prompts_end_at_their_token() -> None:
    text = marked_text(0)
    chosen = torch.tensor([3, 25])
    prompts = text.prompts(chosen, has_first=True)
    assert prompts.last.tolist() == [3, 5]
    assert prompts.tokens[0, :4].tolist() == text.contexts[0, :4].tolist()
    assert not bool(prompts.is_text[:, 0].any())
    assert text.has_follower().view(-1, 20)[:, -1].tolist() == [False] * 20


def test_planted_duplicates_are_counted() -> None:
    """Two pairs point the same way; one of them fires together, the other's second half never fires alone."""
    draw = torch.Generator().manual_seed(0)
    directions = torch.linalg.qr(torch.randn(12, 12, generator=draw)).Q[:6]
    twins = torch.cat([directions, directions[:1], directions[1:2]])
    dictionary = sae(twins, bias=-0.01)
    with torch.no_grad():
        dictionary.b_enc[7] = -1.9  # fires on few of the tokens of feature 1
        dictionary.b_enc[5] = -100.0  # dead
    codes = torch.rand(600, 6, generator=draw) * 2 * (torch.rand(600, 6, generator=draw) < 0.3)
    found = find_duplicates(dictionary, codes @ directions)
    assert found == {"live": 7, "same_direction": 4, "fire_together": 2, "duplicates": 2}


def test_an_ablation_takes_the_feature_from_the_last_token_alone(subjects) -> None:
    subject = subjects["gpt2"]
    tokens = torch.randint(1, 200, (3, 8), generator=torch.Generator().manual_seed(0))
    read = ReadPrompts(subject, Prompts(tokens, torch.ones_like(tokens, dtype=torch.bool)), POINT)
    dictionary = sae(torch.eye(16))
    shift = remove(read, dictionary, 3, scale=2.0)
    assert not bool(shift[:, :-1].any())
    torch.testing.assert_close(shift[:, -1, 3], -2 * read.x[:, -1, 3].clamp_min(0))
    assert not bool(shift[..., :3].any())


def setting(tmp_path: Path, model: Path | str, corpus: Path | str, *overrides: str) -> Setting[CunninghamOptions]:
    recipe = tmp_path / "little.toml"
    recipe.write_text(RECIPE.format(model=model, corpus=corpus))
    (made,) = open_settings(
        STUDY,
        preset="quick",
        recipe=str(recipe),
        overrides=overrides,
        folder=tmp_path / "out",
        progress=SilentProgress(),
    )
    return made


def test_a_subject_that_can_do_no_task_is_told_in_one_line(tmp_path: Path, subjects) -> None:
    made = setting(tmp_path, "tiny", "none", "study.tasks=['subject_verb']", "study.n_select=2", "study.n_measure=2")
    with pytest.raises(SubjectError, match=r"study\.tasks: 'tiny' can do none of them .*smollm2-135m can") as error:
        choose_task(made, subjects["llama"])
    assert "\n" not in str(error.value)


def test_options_that_cannot_be_are_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"study\.main = 'other': no untied dictionary .* use one of sae"):
        main_entry(setting(tmp_path, "tiny", "none", "study.main='other'"))
    with pytest.raises(ConfigError, match=r"study\.depths = 'resid\.x': give SITE\.LAYER"):
        points(setting(tmp_path, "tiny", "none", "study.depths=['resid.x']"))


@pytest.mark.parametrize("preset", STUDY.presets)
def test_the_presets_can_be_opened(preset: str, tmp_path: Path) -> None:
    options: dict[str, Any] = {"recipe": None, "overrides": (), "folder": tmp_path, "progress": SilentProgress()}
    made = open_settings(STUDY, preset=preset, **options)
    measured = {part for each in made for part in each.options.parts or [part.name for part in STUDY.parts]}
    assert measured == {part.name for part in STUDY.parts}
    for each in made:
        assert main_entry(each).name == "sae" and points(each)


RECIPE = """
name = "little"
device = "cpu"

[study]
parts = ["layers", "cases", "editing", "tradeoff", "duplicates"]
before = "resid_pre.0"
l1_weights = [0.05, 0.8]
widths = [24, 48]
n_contexts = 12

[subject]
model = "{model}"
site = "resid_post"
layer = 1
context_tokens = 48

[corpus]
path = "{corpus}"
dictionary_tokens = 6_000
evidence_tokens = 4_000

[train]
batch_tokens = 256
buffer_tokens = 4096
learning_rate = 3e-3

[[dictionaries]]
name = "sae"
kind = "relu"
n_features = 48
l1_weight = 0.2

[[dictionaries]]
name = "tied"
kind = "relu"
is_tied = true
n_features = 48
l1_weight = 0.2

[[dictionaries]]
name = "pca"
kind = "pca"
match_density = "sae"

[[dictionaries]]
name = "basis"
kind = "identity"
match_density = "sae"

[harvest]
n_features = 6
min_firing = 20

[explain]
judge = "pattern"

[score]
judge = "pattern"
preset = "cunningham2023"
"""


ALL = ("layers", "cases", "editing", "tradeoff", "duplicates")


@pytest.mark.parametrize("parts", [("cases", "editing"), pytest.param(ALL, marks=pytest.mark.full)], ids=["two", "all"])
def test_parts_on_a_tiny_subject_make_one_page(tmp_path: Path, parts: tuple[str, ...]) -> None:
    corpus = save_marked_corpus(tmp_path / "corpus.jsonl")
    model = save_subject(tmp_path / "model", corpus)
    made, folder = setting(tmp_path, model, corpus, f"study.parts={list(parts)}"), tmp_path / "out"
    done = list(measure_parts(STUDY, [made], folder=folder))
    assert [each.part for each in done] == list(parts)
    page = write_page(STUDY, [made], done, folder=folder, command="autointerp study cunningham2023")
    assert str(tmp_path) not in page and "nan" not in page
    for each in done:
        assert each.claims and each.tables and each.figures
        assert json.loads((folder / "parts" / f"little-{each.part}.json").read_text())["key"] == each.key
    assert "one feature stands for the apostrophe" in page and "resid_pre.0" in page
    again = list(measure_parts(STUDY, [made], folder=folder))
    assert again == done


@pytest.mark.full
def test_text_without_the_concept_is_the_users_error(tmp_path: Path) -> None:
    corpus = save_marked_corpus(tmp_path / "corpus.jsonl", mark="")
    made = setting(tmp_path, save_subject(tmp_path / "model", corpus), corpus)
    with pytest.raises(InputError, match="corpus: no token holds the mark of `apostrophe` on both halves"):
        Case.open(made).find("apostrophe")
