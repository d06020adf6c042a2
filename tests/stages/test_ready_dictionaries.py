"""Dictionaries taken as they are: checked before anything is trained, their origin kept, objects asked again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import constants

from autointerp import pipeline, plugins
from autointerp.config.dictionary_entry import DictionaryEntry
from autointerp.config.loading import parse_config
from autointerp.errors import ConfigError, PluginError, SubjectError
from autointerp.hub import HubUnreachable
from autointerp.pretrained import releases
from autointerp.pretrained.releases import Release, named_releases
from autointerp.progress import SilentProgress
from autointerp.records.evidence_file import read_evidence
from autointerp.runs.layout import RunLayout
from autointerp.stages import train
from autointerp.stages.ready_dictionaries import reopen
from sae_core.adapter import adapt
from sae_core.architectures.transcoder import TranscoderDictionary
from sae_core.build import build_dictionary
from sae_core.checkpoint import load_dictionary, read_metadata, save_dictionary
from sae_core.config import DictionaryConfig
from sae_core.dictionary import Dictionary
from sae_core.errors import DictionaryObjectError, WidthMismatchError
from sae_core.foreign.writing import export_dictionary
from tests.integration.world import save_corpus, save_subject

D, N, K = 24, 32, 4
HOOK = "blocks.0.hook_resid_post"


class Sayings(SilentProgress):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


class World:
    def __init__(self, root: Path) -> None:
        self.root = root
        corpus = save_corpus(root / "corpus.jsonl", n_documents=60)
        self.model = save_subject(root / "tiny", corpus, n_layers=1)
        self.tree: dict[str, Any] = {
            "name": "ready",
            "device": "cpu",
            "subject": {"model": str(self.model), "layer": 0, "site": "resid_post", "context_tokens": 32},
            "corpus": {"path": str(corpus), "dictionary_tokens": 600, "evidence_tokens": 600},
            "harvest": {"n_features": 3, "min_firing": 2, "n_top": 2, "n_bins": 2, "n_per_bin": 1, "n_random": 4},
        }

    def train(self, *entries: dict[str, Any], objects: Any = None, name: str = "run") -> tuple[RunLayout, list[str]]:
        layout, sayings = RunLayout(self.root / name), Sayings()
        train.run(parse_config(self.tree | {"dictionaries": list(entries)}), layout, sayings, objects=objects)
        return layout, sayings.said

    def saved(self, folder: str, **metadata: Any) -> dict[str, Any]:
        """An entry that loads a SAELens file with these metadata."""
        path = export_dictionary(made(), self.root / folder, format="saelens", metadata=metadata)
        return {"name": "sae", "kind": "load", "path": str(path)}


@pytest.fixture
def world(base: World, tmp_path: Path) -> World:
    base.root = tmp_path
    return base


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("ready"))


def made() -> Dictionary:
    return build_dictionary(DictionaryConfig(kind="topk", n_features=N, k=K), d_in=D, seed=0).eval()


class Own:
    """A user's own class, with the codes of `made`."""

    def __init__(self, dictionary: Dictionary | None = None, **metadata: Any) -> None:
        self.dictionary = dictionary or made()
        self.W_dec = self.dictionary.directions.detach()
        self.metadata = metadata

    def encode(self, x: Any) -> Any:
        return self.dictionary.encode_dense(x)


def test_a_dictionary_of_another_model_or_place_is_refused(world: World) -> None:
    other = world.saved("other", model_name="gpt2", hook_name="blocks.7.hook_resid_post")
    with pytest.raises(SubjectError, match=r"dictionaries.sae: .*model 'gpt2'.*'blocks.7.hook_resid_post'.*force"):
        world.train(other)
    assert not (world.root / "run").exists()
    layout, said = world.train(other | {"force": True})
    assert sum("as force = true insists" in line for line in said) == 2
    kept = read_metadata(layout.dictionary("sae"))
    assert (kept["model_name"], kept["hook_name"]) == (str(world.model), HOOK)
    assert kept["origin"]["metadata"]["model_name"] == "gpt2"
    assert len(kept["origin"]["forced"]) == 2
    # the copy remembers what it was made for: it is refused elsewhere as well
    copy = {"name": "copy", "kind": "load", "path": str(layout.dictionary("sae"))}
    with pytest.raises(SubjectError, match="model 'gpt2'"):
        world.train(copy, name="next")
    with pytest.raises(SubjectError, match="made for the model 'gpt2'"):
        world.train({"name": "mine", "kind": "object"}, objects={"mine": Own(model_name="gpt2")}, name="next")


def test_a_dictionary_of_this_model_and_place_keeps_its_origin(world: World) -> None:
    entry = world.saved("own", model_name="some/tiny", hook_name=HOOK, context_size=64, prepend_bos=True, seed=3)
    layout, said = world.train(entry, {"name": "pursuit", "kind": "inferred", "of": "sae", "k": 3})
    assert [line for line in said if line.startswith("warning: sae: it was made")] == [
        "warning: sae: it was made on contexts of 64 tokens, subject.context_tokens is 32"
    ]
    origin = read_metadata(layout.dictionary("sae"))["origin"]
    assert (origin["format"], origin["architecture"], origin["metadata"]["seed"]) == ("saelens", "topk", 3)
    for name in ("sae", "pursuit"):
        shown = json.loads(layout.quality(name).read_text())["origin"]
        assert shown == {"format": "saelens", "architecture": "topk", "model": "some/tiny", "hook": HOOK}
    torch.testing.assert_close(load_dictionary(layout.dictionary("sae")).directions, made().directions.detach())


def test_a_dictionary_that_reconstructs_nothing_is_an_alarm(world: World) -> None:
    dictionary = made()
    dictionary.state_dict()["W_enc"].mul_(1e-3)
    path = save_dictionary(dictionary, world.root / "d")
    _, said = world.train({"name": "sae", "kind": "load", "path": str(path)})
    assert any(line.startswith("warning: sae: fvu") and "does not reconstruct" in line for line in said)


def test_a_release_is_read_from_the_hubs_cache(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    files = ("blocks.{layer}/cfg.json", "blocks.{layer}/sae_weights.safetensors")
    release = Release(
        name="tiny-saes",
        repository="some/saes",
        layout="saelens",
        subject="some/tiny",
        layers=(0,),
        files={"resid_post": files},
        options={},
        each={},
    )
    monkeypatch.setitem(named_releases(), "tiny-saes", release)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(world.root / "hub"))

    def unreachable(*_: object, **__: object) -> str:
        raise HubUnreachable("offline mode")

    monkeypatch.setattr(releases, "look_up", unreachable)
    entry = {"name": "sae", "kind": "release", "release": "tiny-saes"}
    with pytest.raises(SubjectError, match=r"dictionaries.sae: some/saes is not in this machine's cache"):
        world.train(entry)
    place = world.root / "hub/models--some--saes"
    export_dictionary(made(), place / "snapshots/abc/blocks.0", format="saelens")
    (place / "refs").mkdir()
    (place / "refs/main").write_text("abc")
    with pytest.raises(
        SubjectError, match=r"dictionaries.sae: site = 'mlp_out': the release 'tiny-saes' has resid_post"
    ):
        world.train(entry | {"site": "mlp_out"})
    layout, _ = world.train(entry)
    # what the files do not say, the registry does
    kept = read_metadata(layout.dictionary("sae"))["origin"]["metadata"]
    assert (kept["model_name"], kept["hook_name"], kept["release"]) == ("some/tiny", HOOK, "tiny-saes")
    torch.testing.assert_close(load_dictionary(layout.dictionary("sae")).directions, made().directions.detach())


def test_width_and_transcoders_are_told_by_entry(world: World) -> None:
    narrow = build_dictionary(DictionaryConfig(kind="relu", n_features=8), d_in=7, seed=0)
    config = DictionaryConfig(kind="relu", n_features=8)
    transcoder = TranscoderDictionary(config, d_in=D, d_out=D, rule="relu", has_skip=False)
    transcoder.directions.copy_(torch.eye(8, D))
    for dictionary, error, message in (
        (narrow, WidthMismatchError, r"sae.path = '.*' reads activations of width 7, but resid_post.0 is 24"),
        (transcoder, SubjectError, r"dictionaries.sae.path = .*is a transcoder: a pass meets mlp_out.0, .*reads"),
    ):
        path = save_dictionary(dictionary, world.root / error.__name__)
        with pytest.raises(error, match=message):
            world.train({"name": "sae", "kind": "load", "path": str(path)})


def test_the_pipeline_asks_an_object_for_its_codes_in_both_stages(world: World) -> None:
    entries = [{"name": "mine", "kind": "object"}, {"name": "file", "kind": "load", "path": str(saved_as_ours(world))}]
    config = parse_config(world.tree | {"dictionaries": entries})
    own = Own(model_name="tiny", hook_name=HOOK)
    layout = pipeline.run(config, out=world.root / "run", last="harvest", objects={"mine": own})
    as_object, as_file = (json.loads(layout.quality(name).read_text()) for name in ("mine", "file"))
    for key in ("fvu", "l0", "dead_frac"):
        assert as_object[key] == pytest.approx(as_file[key], rel=1e-5)
    assert as_object["origin"] == {"format": "object", "architecture": "Own", "model": "tiny", "hook": HOOK}
    densities = [[e.density for e in read_evidence(layout.evidence_file(name))] for name in ("mine", "file")]
    assert len(densities[0]) == len(densities[1]) == 3


def test_an_object_is_given_again_and_the_same(world: World) -> None:
    entry = DictionaryEntry.model_validate({"name": "mine", "kind": "object"})
    layout, cpu = RunLayout(world.root / "run"), torch.device("cpu")
    save_dictionary(adapt(Own()), layout.dictionary("mine"))
    assert reopen(entry, layout, device=cpu, objects={"mine": Own()}).n_features == N
    other = build_dictionary(DictionaryConfig(kind="topk", n_features=N, k=K), d_in=D, seed=1)
    with pytest.raises(DictionaryObjectError, match="other weights than the 'Own'"):
        reopen(entry, layout, device=cpu, objects={"mine": Own(other)})
    with pytest.raises(SubjectError, match=r"dictionaries.mine has kind 'object': its object lives in Python only"):
        reopen(entry, layout, device=cpu)


def saved_as_ours(world: World) -> Path:
    return save_dictionary(made(), world.root / "ours")


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], None]:
    """Make a factory the plug-in `mine`."""

    def install(factory: Any) -> None:
        monkeypatch.setitem(plugins.BUILTIN, "autointerp.dictionaries", {"mine": f"{__name__}:factory"})
        monkeypatch.setattr(plugins, "_load", lambda group, listing: factory)

    return install


def test_a_plugin_makes_a_dictionary_from_its_entry(world: World, install: Callable[[Any], None]) -> None:
    told: list[Any] = []

    def factory(entry: Any, width: int) -> Any:
        told.append((entry.name, dict(entry.options), width))
        return Own()

    install(factory)
    entry = {"name": "a", "kind": "plugin", "plugin": "mine", "options": {"seed": 3}}
    layout, _ = world.train(entry)
    parsed = DictionaryEntry.model_validate(entry)
    assert reopen(parsed, layout, device=torch.device("cpu")).n_features == N
    assert told == [("a", {"seed": 3}, D)] * 2
    install(lambda entry, width: object())
    with pytest.raises(PluginError, match="made a object, which is no dictionary: it lacks encode"):
        world.train(entry, name="other")
    install(lambda entry, width: Own(Own().dictionary) if width == 0 else type("Bare", (), {"encode": print})())
    with pytest.raises(DictionaryObjectError, match=r"dictionaries.a: .*no decoder directions"):
        world.train(entry, name="bare")


def test_an_unknown_plugin_is_one_line(world: World) -> None:
    with pytest.raises(PluginError, match="unknown dictionary 'mine'; there are: none"):
        world.train({"name": "a", "kind": "plugin", "plugin": "mine"})


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"kind": "plugin"}, "no plugin; add plugin = 'NAME'"),
        ({"kind": "topk", "plugin": "mine"}, "does not use plugin"),
        ({"kind": "topk", "force": True}, "does not use force"),
        ({"kind": "load", "path": "x", "options": {"a": 1}}, "does not use options"),
    ],
)
def test_keys_of_other_kinds_are_refused(entry: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_config({"dictionaries": [{"name": "a", **entry}]})
