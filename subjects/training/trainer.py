"""The training of the builtin subject from its recipe, resumed from its last checkpoint in `<folder>/.training`."""

from __future__ import annotations

import copy
import math
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from tokenizers import Tokenizer
from transformers import GPT2Config, GPT2LMHeadModel

from autointerp.errors import InputError
from autointerp.records.document import Document, role_of
from autointerp.seeds import derive, stream
from autointerp.subject.builtin.corpus import BUILTIN_SHARES, builtin_corpus_hash, iter_builtin_documents
from subjects.training.card import SubjectTrainingReport, render_model_card
from subjects.training.checkpoint import TrainingState, load_training_state, save_training_state
from subjects.training.contexts import epoch_contexts
from subjects.training.crossentropy import chunked_cross_entropy
from subjects.training.evaluation import encode_documents, evaluate_builtin_subject
from subjects.training.recipe import SubjectRecipe
from subjects.training.tokenizer import BOS_TOKEN, PAD_TOKEN, save_builtin_tokenizer, train_builtin_tokenizer

__all__ = ["build_model", "learning_rate_at", "train_builtin_subject"]


def train_builtin_subject(
    recipe: SubjectRecipe,
    *,
    out_folder: Path,
    documents: Sequence[Document] | None = None,
    is_progress_shown: bool = True,
) -> SubjectTrainingReport:
    """Train, save, evaluate and describe the builtin subject in `out_folder`; figures are measured on what was saved.

    Only documents of role `subject` are trained on. The same recipe, corpus, machine and number of threads give the
    same weights. Raises InputError where the corpus is too short for one step, ArtefactError for a checkpoint of
    another recipe or corpus.
    """
    documents = list(iter_builtin_documents()) if documents is None else documents
    corpus_hash = builtin_corpus_hash(documents)
    texts = [document.text for document in documents if role_of(document.id, BUILTIN_SHARES) == "subject"]
    tokenizer = train_builtin_tokenizer(texts, vocab_size=recipe.vocab_size)
    encoded = encode_documents(tokenizer, texts)
    model = build_model(recipe, tokenizer)
    state_path = out_folder / ".training" / "state.pt"
    state_path.parent.mkdir(parents=True, exist_ok=True)
    state = _train(model, encoded, recipe, state_path, corpus_hash=corpus_hash, is_progress_shown=is_progress_shown)
    save_builtin_tokenizer(tokenizer, out_folder, n_positions=recipe.n_positions)
    _save_model(model, out_folder)
    evaluation = evaluate_builtin_subject(out_folder, documents=documents)
    report = SubjectTrainingReport(
        folder=str(out_folder),
        n_parameters=sum(parameter.numel() for parameter in model.parameters()),
        n_steps=state.step,
        n_seen_tokens=state.step * recipe.n_contexts_per_step * (recipe.n_positions - 1),
        n_distinct_tokens=sum(document.size for document in encoded),
        train_s=state.train_s,
        weights_bytes=(out_folder / "model.safetensors").stat().st_size,
        corpus_hash=corpus_hash,
        evaluation=evaluation,
    )
    (out_folder / "README.md").write_text(render_model_card(report, recipe), encoding="utf-8")
    shutil.rmtree(state_path.parent)
    return report


def build_model(recipe: SubjectRecipe, tokenizer: Tokenizer) -> GPT2LMHeadModel:
    bos, pad = tokenizer.token_to_id(BOS_TOKEN), tokenizer.token_to_id(PAD_TOKEN)
    config = GPT2Config(
        vocab_size=tokenizer.get_vocab_size(),
        n_positions=recipe.n_positions,
        n_embd=recipe.d_model,
        n_layer=1,
        n_head=recipe.n_heads,
        n_inner=recipe.d_mlp,
        activation_function="relu",
        resid_pdrop=recipe.dropout,
        embd_pdrop=recipe.dropout,
        attn_pdrop=0.0,
        tie_word_embeddings=False,
        bos_token_id=bos,
        eos_token_id=bos,
        pad_token_id=pad,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(recipe.seed, "subject", "weights"))
        return GPT2LMHeadModel(config)


def learning_rate_at(step: int, recipe: SubjectRecipe, n_steps: int) -> float:
    """Linear warm-up, then a cosine to zero."""
    n_warmup = max(1, round(recipe.warmup_frac * n_steps))
    if step < n_warmup:
        return recipe.learning_rate * (step + 1) / n_warmup
    progress = (step - n_warmup) / max(1, n_steps - n_warmup)
    return recipe.learning_rate * 0.5 * (1.0 + math.cos(math.pi * progress))


@dataclass(slots=True)
class _Batches:
    """The batch of any step, without state: each epoch has its own shuffle."""

    encoded: Sequence[np.ndarray]
    recipe: SubjectRecipe
    bos: int

    def iter_from(self, step: int, n_steps: int) -> Iterator[torch.Tensor]:
        size = self.recipe.n_contexts_per_step
        n_tokens = sum(document.size + 1 for document in self.encoded)
        per_epoch = n_tokens // (self.recipe.n_positions - 1) // size
        if per_epoch == 0:
            raise InputError(
                f"corpus: {n_tokens} tokens of role subject are too few for one step of {size} contexts of "
                f"{self.recipe.n_positions}: lower n_contexts_per_step"
            )
        epoch, contexts = -1, np.empty(0)
        for current in range(step, n_steps):
            if current // per_epoch != epoch:
                epoch = current // per_epoch
                generator = stream(self.recipe.seed, "subject", "epoch", epoch)
                contexts = epoch_contexts(
                    self.encoded, n_positions=self.recipe.n_positions, bos=self.bos, generator=generator
                )
            start = (current % per_epoch) * size
            yield torch.from_numpy(contexts[start : start + size])


def _optimiser(model: GPT2LMHeadModel, recipe: SubjectRecipe) -> torch.optim.AdamW:
    matrices = [parameter for parameter in model.parameters() if parameter.dim() >= 2]
    vectors = [parameter for parameter in model.parameters() if parameter.dim() < 2]
    groups = [
        {"params": matrices, "weight_decay": recipe.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=(recipe.beta1, recipe.beta2), fused=True)


def _train(
    model: GPT2LMHeadModel,
    encoded: Sequence[np.ndarray],
    recipe: SubjectRecipe,
    state_path: Path,
    *,
    corpus_hash: str,
    is_progress_shown: bool,
) -> TrainingState:
    """Train in place from the last checkpoint on."""
    n_tokens_per_step = recipe.n_contexts_per_step * (recipe.n_positions - 1)
    n_steps = max(1, round(recipe.n_train_tokens / n_tokens_per_step))
    optimiser = _optimiser(model, recipe)
    identity = f"{corpus_hash} {recipe.model_dump_json(exclude={'n_steps_per_checkpoint'})}"
    state = load_training_state(state_path, model=model, optimiser=optimiser, identity=identity)
    batches = _Batches(encoded, recipe, bos=model.config.bos_token_id or 0)
    before, started = state.train_s, time.perf_counter()
    # bfloat16 products with float32 sums where the processor has them: 1.5 times as fast, no visible loss.
    precision = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    model.train()
    try:
        with _progress(is_progress_shown) as bar:
            task = bar.add_task("training", total=n_steps, completed=state.step, rate="", loss="")
            smooth = float("nan")
            for batch in batches.iter_from(state.step, n_steps):
                with torch.random.fork_rng(devices=[]):
                    torch.manual_seed(derive(recipe.seed, "subject", "dropout", state.step))
                    loss = _step(model, optimiser, batch, recipe, learning_rate_at(state.step, recipe, n_steps))
                smooth = loss if math.isnan(smooth) else 0.98 * smooth + 0.02 * loss
                state.step += 1
                state.train_s = before + time.perf_counter() - started
                if state.step % recipe.n_steps_per_checkpoint == 0:
                    save_training_state(state_path, state, model=model, optimiser=optimiser, identity=identity)
                    _print_line(bar, state, n_steps, smooth)
                rate = f"{state.step * n_tokens_per_step / state.train_s:,.0f} tokens/s"
                bar.update(task, completed=state.step, rate=rate, loss=f"loss {smooth:.3f}")
    finally:
        torch.set_float32_matmul_precision(precision)
    return state


def _step(
    model: GPT2LMHeadModel, optimiser: torch.optim.AdamW, batch: torch.Tensor, recipe: SubjectRecipe, rate: float
) -> float:
    for group in optimiser.param_groups:
        group["lr"] = rate
    hidden = model.transformer(batch[:, :-1]).last_hidden_state
    loss = chunked_cross_entropy(hidden.reshape(-1, recipe.d_model), model.lm_head.weight, batch[:, 1:].reshape(-1))
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.max_gradient_norm)
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)
    return float(loss.detach())


def _progress(is_shown: bool) -> Progress:
    return Progress(
        TextColumn("{task.description} {task.completed}/{task.total}"),
        BarColumn(),
        TextColumn("{task.fields[rate]} {task.fields[loss]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        disable=not is_shown,
        refresh_per_second=1,
    )


def _print_line(bar: Progress, state: TrainingState, n_steps: int, loss: float) -> None:
    if not bar.disable and not bar.console.is_terminal:
        left_s = state.train_s / state.step * (n_steps - state.step)
        bar.console.print(f"step {state.step}/{n_steps} loss {loss:.3f} {state.train_s:.0f} s, {left_s:.0f} s left")


def _save_model(model: GPT2LMHeadModel, folder: Path) -> None:
    """Store float16 weights (half the bytes) that load as float32."""
    config = copy.deepcopy(model.config)
    config.resid_pdrop = config.embd_pdrop = 0.0
    stored = GPT2LMHeadModel(config)
    stored.load_state_dict(model.state_dict())
    stored.half().save_pretrained(folder)
    stored.config.dtype = torch.float32
    stored.config.save_pretrained(folder)
