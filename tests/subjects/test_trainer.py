"""Training the builtin subject in small: it learns, resumes to equal weights, and loads like any other model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM, AutoTokenizer

from autointerp.errors import ArtefactError, InputError, SubjectError
from autointerp.records.document import Document
from subjects.training import trainer
from subjects.training.checkpoint import TrainingState
from subjects.training.contexts import epoch_contexts, pack_contexts
from subjects.training.crossentropy import chunked_cross_entropy
from subjects.training.evaluation import evaluate_builtin_subject, model_loss
from subjects.training.recipe import SubjectRecipe
from subjects.training.tokenizer import save_builtin_tokenizer, train_builtin_tokenizer
from subjects.training.trainer import build_model, learning_rate_at, train_builtin_subject

SMALL = SubjectRecipe(
    vocab_size=320,
    n_positions=16,
    d_model=16,
    n_heads=2,
    d_mlp=32,
    n_train_tokens=15 * 4 * 60,
    n_contexts_per_step=4,
    n_steps_per_checkpoint=7,
)


@pytest.fixture(scope="module")
def documents() -> list[Document]:
    text = "the cat sat on the mat and the dog lay by the door; "
    return [
        Document(f"{part}/{number}", part, text * 3 + f"number {number} was {part} text ")
        for part in ("stdlib", "cldr", "generated")
        for number in range(24)
    ]


@pytest.fixture(scope="module")
def trained(documents: list[Document], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float]:
    folder = tmp_path_factory.mktemp("subject")
    report = train_builtin_subject(SMALL, out_folder=folder, documents=documents, is_progress_shown=False)
    assert report.n_steps == 60
    assert report.n_seen_tokens == SMALL.n_train_tokens
    assert not (folder / ".training").exists()
    return folder, report.evaluation.subject_loss["stdlib"]


def test_it_learns_and_the_card_states_what_was_measured(trained: tuple[Path, float]) -> None:
    folder, loss = trained
    assert loss < 0.8 * np.log(SMALL.vocab_size)
    card = (folder / "README.md").read_text()
    assert f"| {loss:.3f} |" in card
    assert "PSF licence" in card
    assert str(folder) not in card


def test_evaluation_of_the_folder_repeats_the_reports_figures(
    trained: tuple[Path, float], documents: list[Document]
) -> None:
    folder, loss = trained
    evaluation = evaluate_builtin_subject(folder, documents=documents)
    assert evaluation.subject_loss["stdlib"] == pytest.approx(loss, abs=1e-6)
    assert evaluation.stdlib_margin == evaluation.trigram_loss["stdlib"] - evaluation.subject_loss["stdlib"]
    assert all(0 < trigram < np.log(SMALL.vocab_size) for trigram in evaluation.trigram_loss.values())


def test_the_folder_loads_as_float32_with_specials_in_the_vocabulary(trained: tuple[Path, float]) -> None:
    folder, _ = trained
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    assert model.dtype == torch.float32
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id) == (0, 0, 1)
    assert not torch.equal(model.lm_head.weight, model.get_parameter("transformer.wte.weight"))
    text = "the  cat\n\tsat , שלום \u0e44\u0e17\u0e22 🙂"
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_an_interrupted_training_ends_with_the_same_weights(
    trained: tuple[Path, float], documents: list[Document], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_step, n_calls = trainer._step, 0

    def interrupted(*arguments: object) -> float:
        nonlocal n_calls
        n_calls += 1
        if n_calls == 25:
            raise KeyboardInterrupt
        return real_step(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(trainer, "_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train_builtin_subject(SMALL, out_folder=tmp_path, documents=documents, is_progress_shown=False)
    report = train_builtin_subject(SMALL, out_folder=tmp_path, documents=documents, is_progress_shown=False)
    assert n_calls == 25 + 60 - 21
    assert report.n_steps == 60
    assert (tmp_path / "model.safetensors").read_bytes() == (trained[0] / "model.safetensors").read_bytes()


def test_a_foreign_or_damaged_checkpoint_is_an_artefact_error(
    documents: list[Document], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer = train_builtin_tokenizer([documents[0].text], vocab_size=320)
    model = build_model(SMALL, tokenizer)
    optimiser = trainer._optimiser(model, SMALL)
    path = tmp_path / ".training" / "state.pt"
    path.parent.mkdir()
    trainer.save_training_state(path, TrainingState(3, 1.0), model=model, optimiser=optimiser, identity="other")
    with pytest.raises(ArtefactError, match="another recipe"):
        train_builtin_subject(SMALL, out_folder=tmp_path, documents=documents, is_progress_shown=False)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(ArtefactError, match="damaged"):
        train_builtin_subject(SMALL, out_folder=tmp_path, documents=documents, is_progress_shown=False)


def test_a_corpus_too_short_for_one_step_is_an_input_error(documents: list[Document], tmp_path: Path) -> None:
    recipe = SMALL.model_copy(update={"n_contexts_per_step": 100_000})
    with pytest.raises(InputError, match="n_contexts_per_step"):
        train_builtin_subject(recipe, out_folder=tmp_path, documents=documents, is_progress_shown=False)


def test_evaluation_of_a_folder_without_a_model_is_a_subject_error(tmp_path: Path) -> None:
    with pytest.raises(SubjectError, match="no model here"):
        evaluate_builtin_subject(tmp_path, documents=[])


def test_model_weights_depend_on_the_seed_only(documents: list[Document]) -> None:
    tokenizer = train_builtin_tokenizer([documents[0].text], vocab_size=320)
    first = build_model(SMALL, tokenizer).lm_head.weight
    torch.rand(3)
    assert torch.equal(first, build_model(SMALL, tokenizer).lm_head.weight)
    assert not torch.equal(first, build_model(SMALL.model_copy(update={"seed": 1}), tokenizer).lm_head.weight)


def test_chunked_cross_entropy_and_its_gradients_are_the_ordinary_ones() -> None:
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(50, 8, generator=generator, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(20, 8, generator=generator, dtype=torch.float64, requires_grad=True)
    targets = torch.randint(20, (50,), generator=generator)
    ordinary = torch.nn.functional.cross_entropy(hidden @ weight.T, targets)
    expected = torch.autograd.grad(3.0 * ordinary, (hidden, weight))
    chunked = chunked_cross_entropy(hidden, weight, targets, n_rows=16)
    assert chunked.item() == pytest.approx(ordinary.item(), rel=1e-6)
    for got, wanted in zip(torch.autograd.grad(3.0 * chunked, (hidden, weight)), expected, strict=True):
        torch.testing.assert_close(got, wanted)


def test_packing_puts_bos_first_and_between_documents() -> None:
    documents = [np.array([5, 6, 7]), np.array([8]), np.array([9, 10, 11, 12])]
    contexts = pack_contexts(documents, n_positions=5, bos=0)
    assert contexts.tolist() == [[0, 5, 6, 7, 0], [0, 8, 0, 9, 10]]
    assert pack_contexts([], n_positions=5, bos=0).shape == (0, 5)


def test_an_epoch_holds_whole_documents_in_another_order() -> None:
    documents = [np.arange(10 * i + 10, 10 * i + 17) for i in range(9)]
    epochs = [
        epoch_contexts(documents, n_positions=9, bos=0, generator=np.random.default_rng(seed)) for seed in (0, 1, 0)
    ]
    assert epochs[0].tolist() == epochs[2].tolist() != epochs[1].tolist()
    assert sorted(epochs[0].ravel()) == sorted(epochs[1].ravel())


def test_model_loss_leaves_out_ignored_targets(documents: list[Document]) -> None:
    tokenizer: Tokenizer = train_builtin_tokenizer([documents[0].text], vocab_size=320)
    model = build_model(SMALL, tokenizer)
    with torch.no_grad():
        model.lm_head.weight.zero_()
    contexts = np.array([[0, 5, 0, 7], [0, 8, 9, 10], [0, 1, 2, 3]])
    assert model_loss(model, contexts, ignored=0, n_contexts_per_batch=2) == pytest.approx(
        np.log(tokenizer.get_vocab_size()), rel=1e-5
    )


def test_the_learning_rate_rises_to_its_peak_and_falls_to_zero() -> None:
    recipe = SMALL.model_copy(update={"warmup_frac": 0.1, "learning_rate": 2.0})
    rates = [learning_rate_at(step, recipe, 100) for step in range(101)]
    assert rates[0] == pytest.approx(0.2)
    assert max(rates) == rates[9] == pytest.approx(2.0)
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[100] == pytest.approx(0.0)


def test_the_tokenizer_holds_all_bytes_and_is_the_same_twice(tmp_path: Path) -> None:
    texts = ["def f(x):\n    return x\n" * 9, "naïve café"]
    first, second = (train_builtin_tokenizer(texts, vocab_size=280) for _ in range(2))
    assert first.to_str() == second.to_str()
    assert first.decode(first.encode("漢字 \x00 ☃").ids) == "漢字 \x00 ☃"
    save_builtin_tokenizer(first, tmp_path, n_positions=64)
    assert AutoTokenizer.from_pretrained(tmp_path).model_max_length == 64
