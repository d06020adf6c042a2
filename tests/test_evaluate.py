"""evaluate: the pipeline from Python, on objects in memory; what came from there is known again by its hash."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from autointerp import Run, evaluate, pipeline
from autointerp.config.loading import load_config
from autointerp.errors import ConfigError, InputError, SubjectError
from autointerp.progress import SilentProgress
from sae_core import DictionaryConfig, SaeCoreError, save_dictionary
from sae_core.build import build_dictionary
from tests.integration.world import save_corpus, save_subject

SETTINGS: dict[str, Any] = {
    "device": "cpu",
    "subject": {"context_tokens": 32},
    "corpus": {"dictionary_tokens": 1200, "evidence_tokens": 4000},
    "harvest": {"n_features": 4, "min_firing": 10, "n_top": 4, "n_bins": 2, "n_per_bin": 4, "n_random": 10},
    "score": {"scorers": [{"name": "detection", "n_positive": 5, "n_negative": 5, "n_near_miss": 0}]},
}


def made(seed: int = 0):
    return build_dictionary(DictionaryConfig(kind="topk", n_features=32, k=4), d_in=24, seed=seed).eval()


class Own:
    """A user's own class."""

    def __init__(self, seed: int = 0) -> None:
        self.dictionary = made(seed)
        self.W_dec = self.dictionary.directions.detach()

    def encode(self, x: Any) -> Any:
        return self.dictionary.encode_dense(x)


@dataclass
class World:
    corpus: Path
    texts: list[str]
    directory: Path
    model: Any
    tokenizer: Any

    def evaluate(self, dictionaries: dict[str, Any], out: Path, **changes: Any) -> Run:
        chosen: dict[str, Any] = {
            "corpus": self.texts,
            "site": "resid_post",
            "layer": 0,
            "tokenizer": self.tokenizer,
            "settings": SETTINGS,
            "progress": SilentProgress(),
            "judge": "coin",
        }
        chosen |= changes
        return evaluate(chosen.pop("model", self.model), dictionaries, out=out, **chosen)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    root = tmp_path_factory.mktemp("evaluate")
    corpus = save_corpus(root / "corpus.jsonl", n_documents=160)
    directory = save_subject(root / "tiny", corpus, n_layers=1)
    texts = [json.loads(line)["text"] for line in corpus.read_text(encoding="utf-8").splitlines()]
    model = AutoModelForCausalLM.from_pretrained(directory)
    return World(corpus, texts, directory, model, AutoTokenizer.from_pretrained(directory))


BASE = {"kind": "random", "match_density": "my_sae"}
README = (Path(__file__).resolve().parents[1] / "README.md").read_text(encoding="utf-8")


def shown(world: World, out: Path) -> tuple[str, str]:
    """The README's example in this world: how a run is made, and how it is read."""
    (example,) = re.findall(r"^```python\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)
    for there, here in (
        ("layer=5", "layer=0"),
        ("openai:gpt-4o-mini", "coin"),
        ('settings={"limits": {"max_usd": 5.0}}', "settings=SETTINGS, progress=SilentProgress()"),
        ("results/runs/mine", str(out)),
    ):
        assert there in example
        example = example.replace(there, here)
    made, read = example.split("\nrun.leaderboard")
    return made, f"run.leaderboard{read}"


@pytest.fixture(scope="module")
def plain(world: World, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The README's run of a model, texts and a dictionary in memory, made within an event loop as in a notebook."""
    names: dict[str, Any] = {"model": world.model, "tokenizer": world.tokenizer, "texts": world.texts, "sae": Own()}
    names |= {"SETTINGS": SETTINGS, "SilentProgress": SilentProgress}

    async def cell() -> None:
        made, _ = shown(world, tmp_path_factory.mktemp("plain") / "first run")
        exec(
            compile(made, "README.md", "exec"), names | {"SETTINGS": SETTINGS, "SilentProgress": SilentProgress}, names
        )

    asyncio.run(cell())
    return names["run"]


def test_the_readmes_example_reads_it(world: World, plain: Run) -> None:
    _, read = shown(world, plain.path)
    names = {"run": plain, "Run": Run}
    sampled = plain.evidence("my_sae")[0].feature
    exec(compile(read.replace("my_sae/60", f"my_sae/{sampled}"), "README.md", "exec"), names)
    assert len(plain.feature(f"my_sae/{sampled}").windows) == len(plain.evidence("my_sae")[0].windows)


def test_objects_in_memory_are_scored(world: World, plain: Run) -> None:
    assert all("_original_component" not in name for name, _ in world.model.named_parameters())  # it was copied
    assert set(plain.leaderboard.index) == {"my_sae", "random"}
    assert len(plain.evidence("my_sae")) == 4
    assert plain.config.name == "first-run"
    assert (plain.config.subject.model, plain.config.corpus.path) == ("memory:tiny", "memory:texts")


def test_the_manifest_knows_what_came_from_memory(world: World, plain: Run) -> None:
    noted = plain.manifest["objects"]
    assert {name: found["class"] for name, found in noted.items()} == {
        "my_sae": "Own",
        "subject.model": "GPT2LMHeadModel",
        "corpus.path": f"{len(world.texts)} texts",
    }
    assert all(len(found["sha256"]) == 64 for found in noted.values())


def test_the_same_call_does_nothing_again_and_another_object_is_refused(world: World, plain: Run) -> None:
    before = plain.layout.summary.read_bytes()
    world.evaluate({"my_sae": Own(), "random": BASE}, plain.path)
    with pytest.raises(ConfigError, match=r"made with another 'my_sae' \(Own, .* than is given now .*fresh=True"):
        world.evaluate({"my_sae": Own(seed=1), "random": BASE}, plain.path)
    with pytest.raises(ConfigError, match=r"another 'corpus\.path'"):
        world.evaluate({"my_sae": Own(), "random": BASE}, plain.path, corpus=world.texts[1:])
    with pytest.raises(SubjectError, match="lives in memory only"):  # as the command line would
        pipeline.run(load_config(plain.layout.config), out=plain.path, last="harvest", first="harvest")
    assert plain.layout.summary.read_bytes() == before


def test_names_and_paths_give_the_same_evidence(world: World, plain: Run, tmp_path: Path) -> None:
    path = save_dictionary(made(), tmp_path / "sae")
    dictionaries = {"my_sae": Own(), "random": BASE, "filed": path}
    run = world.evaluate(dictionaries, tmp_path / "run", model=str(world.directory), tokenizer=None)
    assert set(run.manifest["objects"]) == {"my_sae", "corpus.path"}
    assert (run.config.subject.model, run.config.dictionaries[2].path) == (str(world.directory), path)
    assert run.layout.evidence_file("my_sae").read_bytes() == plain.layout.evidence_file("my_sae").read_bytes()
    density = {evidence.feature: evidence.n_firing for evidence in run.evidence("filed")}
    assert all(n >= SETTINGS["harvest"]["min_firing"] for n in density.values())


def test_a_bridge_is_read_as_it_is(world: World, plain: Run, tmp_path: Path) -> None:
    from transformer_lens.model_bridge import TransformerBridge

    hf_model = AutoModelForCausalLM.from_pretrained(world.directory, attn_implementation="eager")
    bridge = TransformerBridge.boot_transformers(str(world.directory), hf_model=hf_model, tokenizer=world.tokenizer)
    before = [parameter.clone() for parameter in bridge.parameters()]
    run = world.evaluate({"my_sae": Own(), "random": BASE}, tmp_path / "bridge", model=bridge, tokenizer=None)
    for own, read in zip(run.evidence("my_sae"), plain.evidence("my_sae"), strict=True):
        # the bridge sums in another order, so the last digit is each processor's own
        assert (own.feature, own.n_firing) == (read.feature, read.n_firing)
        windows = {window.id: window.activations for window in read.windows}
        assert {window.id for window in own.windows} == set(windows)
        assert all(window.activations == pytest.approx(windows[window.id], abs=1e-5) for window in own.windows)
    assert all(torch.equal(a, b) for a, b in zip(before, bridge.parameters(), strict=True))
    with pytest.raises(SubjectError, match=r"is in torch\.float64; give it in float32"):
        world.evaluate({"my_sae": Own()}, tmp_path / "double", model=bridge.to(torch.float64), tokenizer=None)
    bridge.to(torch.float32).enable_compatibility_mode()
    with pytest.raises(SubjectError, match="weights were processed"):
        world.evaluate({"my_sae": Own()}, tmp_path / "processed", model=bridge, tokenizer=None)


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"tokenizer": None}, SubjectError, "a GPT2LMHeadModel needs its own"),
        ({"model": 3}, SubjectError, "model: a int is no subject"),
        ({"model": "builtin"}, ConfigError, "brings its own tokenizer"),
        ({"corpus": ["a text", 3]}, InputError, "text 1 is a int; give strings, or a path"),
        ({"settings": {"subject": {"layer": 1}}}, ConfigError, "'subject.layer' is said by an argument"),
        ({"settings": {"harvest": {"n_feature": 1}}}, ConfigError, "unknown key 'harvest.n_feature'"),
        ({"site": "resid"}, ConfigError, "subject.site = 'resid'"),
        ({"judge": "patern"}, Exception, "did you mean 'pattern'"),
    ],
)
def test_a_mistake_is_one_line(world: World, tmp_path: Path, changes: Any, error: Any, said: str) -> None:
    with pytest.raises(error, match=said) as raised:
        world.evaluate({"my_sae": Own()}, tmp_path / "run", **changes)
    assert "\n" not in str(raised.value)


def test_an_object_that_is_no_dictionary_is_one_line(world: World, tmp_path: Path) -> None:
    with pytest.raises(SaeCoreError, match=r"a 'object', cannot serve as a dictionary: it has no `encode`"):
        world.evaluate({"my_sae": object()}, tmp_path / "run")


def test_what_is_in_memory_must_be_so_in_the_config(tmp_path: Path) -> None:
    config = load_config("demo")
    with pytest.raises(ConfigError, match="'sae' is given in memory and the config names another"):
        pipeline.run(config, out=tmp_path / "run", objects={"sae": Own()})
