"""Transcoders are measured where they read and where they write: one that is the subject's MLP itself is perfect."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import GPT2LMHeadModel

from autointerp.config.loading import parse_config
from autointerp.errors import SubjectError
from autointerp.records.evidence import Evidence
from autointerp.records.evidence_file import read_evidence
from autointerp.runs.layout import RunLayout
from autointerp.stages import harvest, train
from sae_core.errors import WidthMismatchError
from sae_core.foreign.writing import export_dictionary
from tests.integration.world import save_corpus, save_subject
from tests.stages.test_ready_dictionaries import Sayings, made

CONFIG = "model_name: some/tiny\nfeature_input_hook: mlp.hook_in\nfeature_output_hook: hook_mlp_out\n"


class World:
    """A subject of two layers whose first MLP stands in files as a transcoder and as a cross-layer one."""

    def __init__(self, root: Path) -> None:
        corpus = save_corpus(root / "corpus.jsonl", n_documents=60)
        model = save_subject(root / "tiny", corpus, n_layers=2)
        mlp: Any = GPT2LMHeadModel.from_pretrained(model).transformer.h[0].mlp
        state = {name: tensor.detach() for name, tensor in mlp.state_dict().items()}
        tensors = {"W_enc": state["c_fc.weight"].T, "b_enc": state["c_fc.bias"], "b_dec": state["c_proj.bias"]}
        self.decoder: Tensor = state["c_proj.weight"]
        self.alone = self._saved(root / "set/layer_0.safetensors", **tensors, W_dec=self.decoder)
        self.other = torch.randn(self.decoder.shape, generator=torch.Generator().manual_seed(0))
        both = torch.stack([self.decoder, self.other], dim=1)
        self._saved(root / "clt/W_dec_0.safetensors", W_dec_0=both)
        crossing = {f"{name}_0": tensor for name, tensor in tensors.items()}
        self.crossing = self._saved(root / "clt/W_enc_0.safetensors", **crossing)
        self.tree: dict[str, Any] = {
            "name": "transcoders",
            "device": "cpu",
            "subject": {"model": str(model), "layer": 0, "site": "mlp_in", "context_tokens": 32, "dtype": "float32"},
            "corpus": {"path": str(corpus), "dictionary_tokens": 600, "evidence_tokens": 1200},
            "harvest": {"n_features": 5, "min_firing": 2, "n_top": 2, "n_bins": 2, "n_per_bin": 1, "n_random": 4},
        }

    def _saved(self, path: Path, **tensors: Tensor) -> Path:
        path.parent.mkdir(exist_ok=True)
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
        (path.parent / "config.yaml").write_text(CONFIG)
        return path

    def loaded(self, path: Path, **keys: Any) -> dict[str, Any]:
        return {"name": "sae", "kind": "load", "path": str(path), **keys}

    def train(self, folder: Path, *entries: dict[str, Any], **sections: Any) -> tuple[RunLayout, list[str]]:
        layout, sayings = RunLayout(folder / "run"), Sayings()
        config = parse_config(self.tree | {"dictionaries": list(entries)} | sections)
        train.run(config, layout, sayings)
        return layout, sayings.said

    def harvest(
        self, folder: Path, *entries: dict[str, Any], **keys: Any
    ) -> tuple[RunLayout, list[str], dict[str, dict[int, Evidence]]]:
        sections = {"harvest": self.tree["harvest"] | keys}
        layout, said = self.train(folder, *entries, **sections)
        harvest.run(parse_config(self.tree | {"dictionaries": list(entries)} | sections), layout, Sayings())
        names = [entry["name"] for entry in entries]
        return layout, said, {n: {e.feature: e for e in read_evidence(layout.evidence_file(n))} for n in names}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("transcoders"))


def test_the_mlp_as_a_transcoder_is_perfect_and_has_its_neurons_effects(world: World, tmp_path: Path) -> None:
    neurons = {"name": "neurons", "kind": "identity", "site": "mlp_post", "fires_above_zero": True}
    layout, said, found = world.harvest(tmp_path, world.loaded(world.alone), neurons, n_features="all", pinned=2)
    quality = json.loads(layout.quality("sae").read_text())
    assert (quality["site"], quality["out_site"]) == ("mlp_in.0", "mlp_out.0")
    assert quality["fvu"] == pytest.approx(0.0, abs=1e-8)
    assert quality["fidelity"]["recovered_zero_frac"] == pytest.approx(1.0, abs=1e-5)
    assert quality["fidelity"]["zero"] > quality["fidelity"]["clean"]
    assert any(line.startswith("sae: fvu 0.000, l0 ") and line.endswith("to 1.000)") for line in said), said
    # the same features by another way: firings of the encoder's side, logit effects of the decoder's
    same = found["sae"].keys() & found["neurons"].keys()
    assert len(same) > 20
    for feature in same:
        mine, theirs = found["sae"][feature], found["neurons"][feature]
        assert mine.site == "mlp_in.0"
        assert mine.n_firing == theirs.n_firing
        norm = float(world.decoder[feature].norm())
        assert mine.max_activation == pytest.approx(theirs.max_activation * norm, rel=1e-4)
        assert [e.token_id for e in mine.top_logits] == [e.token_id for e in theirs.top_logits]
        assert mine.top_logits[0].logit * norm == pytest.approx(theirs.top_logits[0].logit, rel=1e-4)
        assert mine.pinned is not None and theirs.pinned is not None
        assert mine.pinned.strength == pytest.approx(theirs.pinned.strength * norm, rel=1e-2)


def test_of_a_cross_layer_one_the_effects_of_all_layers_are_added(world: World, tmp_path: Path) -> None:
    layout, said, found = world.harvest(tmp_path, world.loaded(world.crossing), pinned=2)
    assert any("no reconstruction of any one place" in line for line in said)
    quality = json.loads(layout.quality("sae").read_text())
    assert quality["fvu"] is None and quality["mse"] is None and "fidelity" not in quality
    assert quality["l0"] > 0
    summed = world.decoder + world.other
    weights: Any = GPT2LMHeadModel.from_pretrained(world.tree["subject"]["model"])
    with torch.no_grad():
        for feature, evidence in found["sae"].items():
            assert evidence.pinned is None
            direction = summed[feature] / summed[feature].norm()
            gained = (direction - direction.mean()) * weights.transformer.ln_f.weight
            logits = gained @ weights.lm_head.weight.T
            first = evidence.top_logits[0]
            assert first.logit == pytest.approx(float(logits[first.token_id]), rel=1e-3)


def test_sites_that_do_not_fit_are_told(world: World, tmp_path: Path) -> None:
    wrong = world._saved(
        tmp_path / "wide/layer_0.safetensors",
        W_enc=torch.eye(8, 24),
        b_enc=torch.zeros(8),
        W_dec=torch.eye(8, 24),
        b_dec=torch.zeros(24),
    )
    (wrong.parent / "config.yaml").unlink()  # which says where it writes
    autoencoder = export_dictionary(made(), tmp_path / "plain", format="saelens")
    derived = {"name": "pursuit", "kind": "inferred", "of": "sae", "k": 3}
    for entries, error, message in (
        (
            [world.loaded(world.alone, out_site="mlp_in")],
            SubjectError,
            "a pass meets mlp_in.0, where it writes, no later",
        ),
        (
            [world.loaded(world.alone, out_site="resid_post")],
            SubjectError,
            "it writes 'blocks.0.hook_mlp_out', the entry",
        ),
        (
            [world.loaded(world.alone, site="resid_mid")],
            SubjectError,
            "'blocks.0.mlp.hook_in', the entry reads resid_mid",
        ),
        (
            [world.loaded(wrong, out_site="mlp_post")],
            WidthMismatchError,
            "writes activations of width 24, but mlp_post.0",
        ),
        ([world.loaded(autoencoder, out_site="mlp_out")], SubjectError, "is no transcoder: .* leave out_site out"),
        ([world.loaded(world.alone), derived], SubjectError, "dictionaries.pursuit: 'sae' is a transcoder"),
    ):
        with pytest.raises(error, match=message) as caught:
            world.train(tmp_path, *entries)
        assert "\n" not in str(caught.value)
