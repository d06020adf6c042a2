"""The recipe file: the committed one is valid, and mistakes are named by key and value."""

from __future__ import annotations

from pathlib import Path

import pytest

from autointerp.errors import ConfigError
from subjects.training.recipe import RECIPE, SubjectRecipe, load_subject_recipe


def test_the_committed_recipe_states_every_key() -> None:
    recipe = load_subject_recipe(RECIPE)
    assert recipe.model_fields_set == set(SubjectRecipe.model_fields)
    assert (recipe.d_mlp, recipe.vocab_size) == (512, 4096)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("learning_rat = 1.0", r"learning_rat = 1\.0.*known keys.*learning_rate"),
        ("n_heads = 3", "d_model = 128 is not a multiple of n_heads = 3"),
        ("seed = -1", "seed = -1"),
        ("seed = ", "no TOML"),
    ],
)
def test_a_mistake_is_named(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message) as caught:
        load_subject_recipe(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_recipe_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.toml"):
        load_subject_recipe(tmp_path / "absent.toml")
