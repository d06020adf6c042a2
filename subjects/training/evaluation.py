"""Held-out loss of the builtin subject, by corpus part, beside a Kneser-Ney trigram trained on the same tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from autointerp.errors import SubjectError
from autointerp.records.document import Document, role_of
from autointerp.subject.builtin.corpus import BUILTIN_SHARES, PARTS, iter_builtin_documents, part_of
from subjects.training.contexts import pack_contexts
from subjects.training.trigram import KneserNeyTrigram

__all__ = ["HELD_OUT_ROLES", "SubjectEvaluation", "encode_documents", "evaluate_builtin_subject", "model_loss"]

HELD_OUT_ROLES = ("explain", "score")


@dataclass(frozen=True, slots=True)
class SubjectEvaluation:
    """Mean held-out loss in nats per token by corpus part, of subject and trigram on the same tokens."""

    subject_loss: dict[str, float]
    trigram_loss: dict[str, float]
    n_held_out_tokens: dict[str, int]
    n_train_tokens: dict[str, int]

    @property
    def stdlib_margin(self) -> float:
        """Nats per token by which the subject beats the trigram on standard-library text."""
        return self.trigram_loss["stdlib"] - self.subject_loss["stdlib"]


def evaluate_builtin_subject(folder: Path, *, documents: Sequence[Document] | None = None) -> SubjectEvaluation:
    """Loss of the model in `folder`, and of a trigram fitted on the subject-role documents with its tokenizer.

    Raises SubjectError where the folder holds no model. Parts without a full held-out context are left out.
    """
    if not (folder / "config.json").is_file():
        raise SubjectError(f"{folder}: no model here: train one with `autointerp subject train --out {folder}`")
    documents = list(iter_builtin_documents()) if documents is None else documents
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    backend, bos, n_positions = tokenizer.backend_tokenizer, tokenizer.bos_token_id, model.config.n_positions
    trained: dict[str, list[np.ndarray]] = {part: [] for part in PARTS}
    held_out: dict[str, list[np.ndarray]] = {part: [] for part in PARTS}
    for document, tokens in zip(documents, encode_documents(backend, [d.text for d in documents]), strict=True):
        role = role_of(document.id, BUILTIN_SHARES)
        if role == "subject":
            trained[part_of(document)].append(tokens)
        elif role in HELD_OUT_ROLES:
            held_out[part_of(document)].append(tokens)
    everything = [tokens for part in PARTS for tokens in trained[part]]
    train_contexts = pack_contexts(everything, n_positions=n_positions, bos=bos)
    trigram = KneserNeyTrigram.fit(train_contexts, vocab_size=model.config.vocab_size)
    subject_loss, trigram_loss, n_held_out = {}, {}, {}
    for part, tokens in held_out.items():
        contexts = pack_contexts(tokens, n_positions=n_positions, bos=bos)
        if contexts.shape[0]:
            subject_loss[part] = model_loss(model, contexts, ignored=bos)
            trigram_loss[part] = trigram.loss(contexts, ignored=bos)
            n_held_out[part] = int(np.count_nonzero(contexts[:, 1:] != bos))
    n_train = {part: sum(tokens.size for tokens in trained[part]) for part in PARTS}
    return SubjectEvaluation(subject_loss, trigram_loss, n_held_out, n_train)


def encode_documents(tokenizer: Tokenizer, texts: Sequence[str]) -> list[np.ndarray]:
    encodings = tokenizer.encode_batch(list(texts), add_special_tokens=False)
    return [np.asarray(encoding.ids, dtype=np.int64) for encoding in encodings]


def model_loss(
    model: PreTrainedModel, contexts: np.ndarray, *, ignored: int | None = None, n_contexts_per_batch: int = 16
) -> float:
    """Mean nats over the targets `contexts[:, 1:]` but those equal to `ignored`."""
    total, n_targets = 0.0, 0
    model.eval()
    with torch.inference_mode():
        for start in range(0, contexts.shape[0], n_contexts_per_batch):
            batch = torch.from_numpy(contexts[start : start + n_contexts_per_batch])
            logits, targets = model(batch[:, :-1]).logits, batch[:, 1:]
            losses = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
            kept = targets.flatten() != ignored if ignored is not None else torch.ones_like(losses, dtype=torch.bool)
            total += float(losses[kept].double().sum())
            n_targets += int(kept.sum())
    return total / n_targets
