"""Where a loaded dictionary was made: names of models and places that mean the same, and those that do not."""

from __future__ import annotations

from typing import Any

import pytest

from autointerp.config.dictionary_entry import DictionaryEntry
from autointerp.config.sites import SitePoint
from autointerp.config.tree import SubjectConfig
from autointerp.errors import SubjectError
from autointerp.stages.origin import Origin, check_origin


def check(
    point: str = "resid_post.5",
    model: str = "gpt2",
    *,
    out: str | None = None,
    force: bool = False,
    weights: Any = "trained",
    **metadata: Any,
) -> tuple[list[str], list[str]]:
    (site, layer), written = point.split("."), (out or point).split(".")
    entry = DictionaryEntry.model_validate({"name": "d", "kind": "load", "path": "x", "force": force})
    return check_origin(
        Origin("saelens", "standard", metadata),
        entry,
        SitePoint(site, int(layer)),  # type: ignore[arg-type]
        out=SitePoint(written[0], int(written[1])),  # type: ignore[arg-type]
        subject=SubjectConfig(model=model, weights=weights, context_tokens=128),
        has_bos=True,
    )


@pytest.mark.parametrize(
    ("hook", "point"),
    [
        ("blocks.5.hook_resid_post", "resid_post.5"),
        ("blocks.6.hook_resid_pre", "resid_post.5"),
        ("blocks.5.hook_resid_post", "resid_pre.6"),
        ("blocks.0.hook_resid_pre", "resid_pre.0"),
        ("blocks.5.mlp.hook_post", "mlp_post.5"),
        ("blocks.5.hook_mlp_out", "mlp_out.5"),
        ("blocks.5.attn.hook_z", "attn_z.5"),
        ("blocks.5.hook_out", "resid_post.5"),
        ("transformer.h.5", "resid_post.5"),
        ("h.5.mlp", "mlp_out.5"),
        ("layers.5", "resid_pre.6"),
        ("gpt_neox.layers.5", "resid_post.5"),
        ("model.layers.5.self_attn", "attn_out.5"),
        ("resid_post_layer_5", "resid_post.5"),
        ("mlp_out_layer_5", "mlp_out.5"),
        ("attention_out_layer_5", "attn_out.5"),
    ],
)
def test_one_place_has_many_names(hook: str, point: str) -> None:
    assert check(point, hook_name=hook) == ([], [])
    site, layer = point.split(".")
    elsewhere = f"{site}.{int(layer) + 2}"
    with pytest.raises(SubjectError, match=f"made for '{hook}', the entry reads {elsewhere}"):
        check(elsewhere, hook_name=hook)


@pytest.mark.parametrize(
    ("hook", "point"),
    [
        ("blocks.5.hook_resid_pre", "resid_post.5"),
        ("blocks.5.hook_resid_mid", "resid_post.5"),
        ("blocks.5.hook_mlp_out", "mlp_post.5"),
        ("blocks.5.ln2.hook_normalized", "resid_mid.5"),
        ("layers.5", "mlp_out.5"),
        ("resid_post_layer_5", "resid_mid.5"),
    ],
)
def test_other_places_of_the_layer_are_other_places(hook: str, point: str) -> None:
    with pytest.raises(SubjectError, match=rf"dictionaries.d: it was made for '{hook}'.*force = true"):
        check(point, hook_name=hook)


def test_the_message_says_which_place_it_was_made_for() -> None:
    with pytest.raises(SubjectError, match=r"\(site = 'resid_pre', layer = 8\)"):
        check("resid_post.5", hook_name="blocks.8.hook_resid_pre")


def test_a_layer_alone_is_compared_too() -> None:
    assert check("mlp_out.5", layer=5) == ([], [])
    assert check("resid_pre.6", layer=5) == ([], [])
    with pytest.raises(SubjectError, match="made for 'layer 4'"):
        check("mlp_out.5", layer=4)
    with pytest.raises(SubjectError, match="made for 'resid_post'"):
        check("resid_post.5", hook_name="resid_post", layer=4)


def test_a_name_that_says_nothing_is_a_warning() -> None:
    differing, (warning,) = check("resid_post.5", hook_name="my_sae")
    assert differing == [] and "'my_sae', which cannot be compared with resid_post.5" in warning


@pytest.mark.parametrize(
    ("stated", "model"),
    [
        ("gpt2", "openai-community/gpt2"),
        ("gpt2-small", "gpt2"),
        ("gpt2-small", "some/folder/gpt2/"),
        ("EleutherAI/pythia-70m-deduped", "pythia-70m-deduped"),
        ("gemma-2-2b", "google/gemma-2-2b"),
        ("gpt2", "cache/hub/models--openai-community--gpt2/snapshots/607a30d"),
        ("my/own", "C:\\models\\own"),
        ("gpt2-small", "memory:gpt2"),
    ],
)
def test_one_model_has_many_names(stated: str, model: str) -> None:
    assert check(model=model, model_name=stated) == check(model=stated, model_name=model) == ([], [])


@pytest.mark.parametrize(("stated", "model"), [("gpt2", "gpt2-medium"), ("gemma-2-2b", "google/gemma-2-2b-it")])
def test_another_model_is_refused_unless_insisted_on(stated: str, model: str) -> None:
    with pytest.raises(SubjectError, match=f"made for the model '{stated}', the subject is '{model}'"):
        check(model=model, model_name=stated)
    differing, warnings = check(model=model, model_name=stated, force=True)
    assert differing == [f"it was made for the model '{stated}', the subject is '{model}'"]
    assert warnings == [f"{differing[0]}, as force = true insists"]


def test_a_model_in_memory_that_has_no_name_is_a_warning() -> None:
    differing, (warning,) = check(model="memory:GPT2LMHeadModel", model_name="gpt2")
    assert differing == [] and "made for the model 'gpt2'; what 'memory:GPT2LMHeadModel' is, is not known" in warning
    with pytest.raises(SubjectError, match="made for the model 'gpt2'"):
        check(model="memory:pythia-70m", model_name="gpt2")


def test_a_random_twin_is_another_model() -> None:
    with pytest.raises(SubjectError, match=r"the model's trained weights, subject.weights is 'permuted'"):
        check(weights="permuted", model_name="gpt2")
    assert check(weights="permuted", model_name="gpt2", subject_weights="permuted") == ([], [])


def test_context_and_bos_are_warnings() -> None:
    _, warnings = check(context_size=1024, prepend_bos=False)
    assert warnings == [
        "it was made on contexts of 1024 tokens, subject.context_tokens is 128",
        "it was made without a BOS token before each context, the subject here is read with one",
    ]
    assert check(context_size=128, prepend_bos=True) == ([], [])


@pytest.mark.parametrize("value", [None, "", 3, [], {}, True])
def test_metadata_of_no_use_are_passed_over(value: Any) -> None:
    assert check(model_name=value, hook_name=value, layer=None, context_size=None, prepend_bos=None) == ([], [])


def test_a_transcoder_has_two_places() -> None:
    both: dict[str, Any] = {"hook_name": "blocks.5.mlp.hook_in", "hook_name_out": "blocks.5.hook_mlp_out"}
    assert check("mlp_in.5", out="mlp_out.5", **both) == ([], [])
    # the name of a module stands for its input and its output
    assert check("mlp_in.5", out="mlp_out.5", hook_name="layers.5.mlp") == ([], [])
    for other, message in (
        ({"hook_name": "layers.6.mlp"}, "made for 'layers.6.mlp', the entry reads mlp_in.5"),
        (
            both | {"hook_name_out": "blocks.5.hook_resid_post"},
            "it writes 'blocks.5.hook_resid_post', the entry mlp_out.5",
        ),
        (both | {"hook_name": "blocks.5.ln2.hook_normalized"}, "made for 'blocks.5.ln2.hook_normalized'"),
        ({"hook_name": "blocks.5.hook_mlp_out", "hook_name_out": "blocks.5.hook_mlp_out"}, "the entry reads mlp_in.5"),
    ):
        with pytest.raises(SubjectError, match=message):
            check("mlp_in.5", out="mlp_out.5", **other)
