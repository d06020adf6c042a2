"""The committed weights: they load offline like any other model, and their card's figures hold."""

from __future__ import annotations

import re

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from autointerp.resources import resource
from autointerp.subject.builtin.corpus import builtin_corpus_hash, iter_builtin_documents
from subjects.training.evaluation import evaluate_builtin_subject
from subjects.training.recipe import RECIPE, load_subject_recipe

FOLDER = resource("subjects/builtin")
TEXT = "def read(self, size=-1):\n    return self._file.read(size)\n"


def test_it_is_small_and_has_the_recipes_sizes() -> None:
    recipe = load_subject_recipe(RECIPE)
    config = AutoModelForCausalLM.from_pretrained(FOLDER).config
    assert (config.n_layer, config.n_embd, config.n_inner, config.n_positions, config.vocab_size) == (
        1,
        recipe.d_model,
        recipe.d_mlp,
        recipe.n_positions,
        recipe.vocab_size,
    )
    assert sum(path.stat().st_size for path in FOLDER.iterdir() if path.is_file()) < 3_000_000


def test_it_knows_python() -> None:
    model, tokenizer = AutoModelForCausalLM.from_pretrained(FOLDER), AutoTokenizer.from_pretrained(FOLDER)
    ids = torch.tensor([[tokenizer.bos_token_id, *tokenizer(TEXT)["input_ids"]]])
    assert model.dtype == torch.float32
    with torch.inference_mode():
        loss = float(model(ids, labels=ids).loss)
    assert loss < 3.5


def test_transformer_lens_loads_it_with_its_neurons(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    from transformer_lens.model_bridge import TransformerBridge

    bridge = TransformerBridge.boot_transformers(str(FOLDER), device="cpu")
    model, tokenizer = AutoModelForCausalLM.from_pretrained(FOLDER), AutoTokenizer.from_pretrained(FOLDER)
    ids = torch.tensor([[tokenizer.bos_token_id, *tokenizer(TEXT)["input_ids"]]])
    with torch.inference_mode():
        logits, cache = bridge.run_with_cache(ids, names_filter="blocks.0.mlp.hook_post")
        neurons = cache["blocks.0.mlp.hook_post"]
        expected = model(ids).logits
    assert neurons.shape == (1, ids.shape[1], 512)
    assert float(neurons.min()) >= 0.0
    assert 0.0 < float((neurons > 0).float().mean()) < 0.9
    torch.testing.assert_close(logits.log_softmax(-1), expected.log_softmax(-1), atol=1e-4, rtol=1e-4)


@pytest.mark.full
def test_the_cards_figures_hold_and_beat_the_trigram() -> None:
    card = (FOLDER / "README.md").read_text(encoding="utf-8")
    documents = list(iter_builtin_documents())
    evaluation = evaluate_builtin_subject(FOLDER, documents=documents)
    assert evaluation.stdlib_margin >= 0.4
    if f"`{builtin_corpus_hash(documents)}`" in card:
        stated = re.search(r"\| stdlib \|.*\| ([\d.]+) \| ([\d.]+) \|", card)
        assert stated is not None
        assert evaluation.subject_loss["stdlib"] == pytest.approx(float(stated[1]), abs=0.002)
        assert evaluation.trigram_loss["stdlib"] == pytest.approx(float(stated[2]), abs=0.002)
