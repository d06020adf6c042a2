"""The builtin subject's model card, rendered from measured figures only."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from importlib.metadata import version

from autointerp.subject.builtin.corpus import BUILTIN_SHARES
from subjects.training.evaluation import SubjectEvaluation
from subjects.training.recipe import SubjectRecipe

__all__ = ["SubjectTrainingReport", "render_model_card"]


@dataclass(frozen=True, slots=True)
class SubjectTrainingReport:
    folder: str
    n_parameters: int
    n_steps: int
    # repetitions counted
    n_seen_tokens: int
    n_distinct_tokens: int
    train_s: float
    weights_bytes: int
    corpus_hash: str
    evaluation: SubjectEvaluation


def render_model_card(report: SubjectTrainingReport, recipe: SubjectRecipe) -> str:
    evaluation = report.evaluation
    rows = "\n".join(
        f"| {part} | {evaluation.n_train_tokens[part]:,} | {evaluation.n_held_out_tokens[part]:,} "
        f"| {loss:.3f} | {evaluation.trigram_loss[part]:.3f} |"
        for part, loss in evaluation.subject_loss.items()
    )
    return f"""# The builtin subject

A one-layer transformer with a {recipe.d_mlp}-neuron ReLU MLP, after Bricken et al. 2023, small enough for a laptop.
It is the model whose neurons and dictionary features `autointerp demo` explains. It is an object of study, not a
text generator. This page is written by the training itself; every figure on it was measured on the saved weights.

- Architecture: GPT-2 layout, 1 layer, d_model {recipe.d_model}, {recipe.n_heads} heads, d_mlp {recipe.d_mlp}, ReLU,
  {recipe.n_positions} positions, untied embeddings, {report.n_parameters:,} parameters.
- Weights: float16 on disk ({report.weights_bytes:,} bytes), loaded as float32.
- Tokenizer: byte-level BPE of {recipe.vocab_size:,} entries, trained on the same documents. `<|bos|>` begins every
  context and stands between two documents; it is the end-of-text token too.
- Tokens seen: {report.n_seen_tokens:,} ({report.n_distinct_tokens:,} distinct, in {report.n_steps:,} steps of
  {recipe.n_contexts_per_step} contexts).

## Held-out loss

Nats per token on the documents of the roles explain and score, on which neither the model nor its tokenizer was
trained. Trigram: interpolated modified Kneser-Ney, fitted on the same training tokens, tested on the same contexts.

| part | distinct training tokens | held-out tokens | this model | trigram |
|---|---|---|---|---|
{rows}

On standard-library text the model is {evaluation.stdlib_margin:.3f} nats per token better than the trigram.

## Recipe

`python -m subjects.training train` (recipe `subjects/training/recipe.toml`, seed {recipe.seed}; {report.train_s:,.0f} s
of training). Made with {_versions()}; corpus hash `{report.corpus_hash}`. Another Python or Babel has another text and
gives slightly other weights.

## What it was trained on

The builtin corpus' documents of the role subject ({BUILTIN_SHARES["subject"]:.0%} of all): source files of the running
Python's standard library (PSF licence), names and formats of the Unicode CLDR as packaged by Babel (Unicode licence),
and generated base64, hexadecimal, DNA, dates and URLs. None of that text is part of this folder.
"""


def _versions() -> str:
    packages = [f"{name} {version(name).split('+')[0]}" for name in ("babel", "tokenizers", "torch", "transformers")]
    return ", ".join([f"Python {platform.python_version()}", *packages])
