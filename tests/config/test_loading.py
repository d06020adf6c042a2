"""The config: every mistake is one line that names the key, and what is read can be written and read again."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autointerp.config.dictionary_entry import EVIDENCE_KIND, FIXED_KINDS, READY_KINDS, DictionaryEntry
from autointerp.config.earlier import SPELT_OUT
from autointerp.config.loading import differing_keys, load_config, parse_config, render_config
from autointerp.errors import ConfigError
from autointerp.resources import resource
from autointerp.score.presets import apply_preset
from sae_core import config as core
from tests.drawing import examples

RECIPES = ["demo", "encoders", "stories260k", "oneill2024_gpt2_l9", "bricken2023_one_layer"]


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_loads_and_survives_a_round_trip(name: str) -> None:
    config = load_config(name)
    assert parse_config(tomllib.loads(render_config(config))) == config
    assert config.name == name


def test_a_run_made_before_a_key_existed_has_its_default() -> None:
    """`config.toml` of such a run lacks the key, and the run goes on."""
    config = load_config("demo")
    lines = render_config(config).splitlines()
    before = [line for line in lines if not line.startswith(("packing =", "max_file_mb ="))]
    assert len(before) == len(lines) - 2
    assert differing_keys(parse_config(tomllib.loads("\n".join(before))), config) == []


def test_a_run_of_before_goes_on_that_spelt_out_what_its_kinds_do_not_use() -> None:
    config = load_config("demo")
    tree = tomllib.loads(render_config(config))
    for name, section in (("dictionaries", tree), ("explainers", tree["explain"]), ("scorers", tree["score"])):
        section[name] = [SPELT_OUT[name] | table for table in section[name]]
    tree["dictionaries"][0] |= {"k": 7, "l1_weight": 0.3}  # ignored then, of no use to the identity
    assert parse_config(tree) == config


@pytest.mark.parametrize(
    ("override", "parts"),
    [
        ("subject.modle='x'", ["subject.modle", "did you mean 'model'"]),
        ("harvest.n_features=-3", ["harvest.n_features = -3", "greater than 0"]),
        ("subject.site='nowhere'", ["subject.site = 'nowhere'", "'resid_pre'"]),
        ("dictionaries.nobody.k=3", ["no item 'nobody'", "neurons, sae, topk, mlp, random"]),
        ("dictionaries.random.match_density='x'", ["match_density = 'x'", "use one of"]),
        ("dictionaries.sae.match_density='topk'", ["'sae' has kind 'relu'", "match_density = 'topk'", "identity, pca"]),
        ("dictionaries.sae.k=3", ["'sae' has kind 'relu'", "k = 3", "leave it out", "topk", "mlp with output topk"]),
        ("dictionaries.mlp.k=3", ["'mlp' has kind 'mlp'", "k = 3", "mlp with output topk"]),
        ("dictionaries.neurons.gradient_clip=3", ["'neurons' has kind 'identity'", "gradient_clip", "trained kinds"]),
        ("dictionaries.topk.auxk=0", ["dictionaries.2.auxk = 0", "greater than or equal to 1"]),
        ("dictionaries.mlp.hidden=[8, 0]", ["dictionaries.3.hidden.1 = 0"]),
        ("dictionaries.topk.bandwith=1", ["dictionaries.2.bandwith", "did you mean 'bandwidth'"]),
        ("train.warmup_frac=0.9", ["train", "warmup_frac + decay_frac", "at most 1"]),
        ("dictionaries.sae.kind='load'", ["'sae'", "no path"]),
        ("dictionaries.sae.kind='inferred'", ["'sae'", "add of = 'ENTRY'"]),
        ("dictionaries.sae.of='topk'", ["'sae'", "of = 'topk'", "leave it out"]),
        ("name='a/b'", ["name = 'a/b'"]),
        ("seed", ["--set 'seed'", "key.subkey="]),
        ("subject.model.deeper=1", ["subject.model", "not a table"]),
        ("explain.explainers=[{name='windows', n_windows=true}]", ["explain.explainers"]),
    ],
)
def test_a_mistake_is_named_with_its_fix(override: str, parts: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config("demo", [override])
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert part in message


@pytest.mark.parametrize(("source", "part"), [("nobody", "use one of neurons, sae"), ("neurons", "another site")])
def test_an_inferred_dictionary_needs_an_entry_of_its_own_site(source: str, part: str) -> None:
    tree = tomllib.loads(render_config(load_config("demo")))
    tree["dictionaries"].append({"name": "ito", "kind": "inferred", "of": source, "layer": 1})
    with pytest.raises(ConfigError, match=r"dictionaries\.ito") as caught:
        parse_config(tree)
    assert part in str(caught.value)


def test_the_kinds_are_those_of_the_core() -> None:
    ours = set(get_args(DictionaryEntry.model_fields["kind"].annotation))
    assert ours == set(get_args(core.DictionaryKind)) | READY_KINDS | {EVIDENCE_KIND}
    assert ours - FIXED_KINDS == core.TRAINED_KINDS


def test_overrides_reach_tables_and_named_items() -> None:
    config = load_config("demo", ["subject.layer=0", "dictionaries.topk.k=7", "corpus.path=some/file.txt", "seed=4"])
    assert {d.name: d.k for d in config.dictionaries}["topk"] == 7
    assert config.corpus.path == "some/file.txt"
    assert config.seed == 4


@pytest.mark.parametrize(
    "option",
    ["api_key='abc'", "model_path='sk-abcdefghijklmnop'", "base_url='https://me:secret@example.org/v1'"],
)
def test_a_key_in_the_config_is_refused_and_never_echoed(option: str) -> None:
    with pytest.raises(ConfigError, match="key_env") as caught:
        load_config("demo", [f"judges.openai.{option}"])
    for secret in ("abcdefghijklmnop", "secret@"):
        assert secret not in str(caught.value)


def test_a_missing_file_lists_the_recipes() -> None:
    with pytest.raises(ConfigError, match="demo"):
        load_config("nonesuch")


def test_bad_toml_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "bad.toml"
    file.write_text("name = \n")
    with pytest.raises(ConfigError, match=r"no TOML .*line 1"):
        load_config(file)


def test_a_name_used_twice_is_refused() -> None:
    tree = tomllib.loads(resource("configs/demo.toml").read_text())
    tree["dictionaries"][1]["name"] = "neurons"
    with pytest.raises(ConfigError, match="'neurons' is used twice"):
        parse_config(tree)


def test_differing_keys_give_both_values() -> None:
    before, after = load_config("demo"), load_config("demo", ["dictionaries.sae.l1_weight=0.5", "seed=9"])
    assert differing_keys(before, before) == []
    assert differing_keys(before, after) == [
        f"dictionaries.sae.l1_weight: {before.dictionaries[1].l1_weight!r} -> 0.5",
        "seed: 0 -> 9",
    ]


@settings(max_examples=examples(200), deadline=None)
@given(st.text(max_size=40))
def test_any_override_either_works_or_is_a_config_error(text: str) -> None:
    try:
        load_config("demo", [text])
    except ConfigError as error:
        assert str(error)


def test_a_run_of_before_the_key_is_of_version_1() -> None:
    tree = tomllib.loads(render_config(load_config("demo")))
    assert tree["score"].pop("prompts") == 2
    before = parse_config(tree)
    assert before.score.prompts == 1
    assert apply_preset(before).explain.prompts == 1
    assert parse_config(tree, ["score.prompts=2"]).score.prompts == 2


def test_version_2_is_the_default_and_papers_keep_version_1() -> None:
    assert load_config("demo").score.prompts == 2
    assert load_config("demo", ['score.preset="default"']).score.prompts == 2
    assert load_config("demo", ['score.preset="delphi"']).score.prompts == 1
    assert load_config("demo", ['score.preset="delphi"', "score.prompts=2"]).score.prompts == 2


@pytest.mark.parametrize(
    ("said", "version"),
    [([], 2), (["score.prompts=1"], 1), (["explain.prompts=1"], 1), (['score.prompts=["threshold"]'], 1)],
)
def test_explaining_follows_the_version_of_scoring_unless_it_says_otherwise(said: list[str], version: int) -> None:
    assert apply_preset(load_config("demo", said)).explain.prompts == version


def test_a_change_that_is_none_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"score\.prompts"):
        load_config("demo", ['score.prompts=["shouting"]'])
