"""Dictionaries for a task's prompts: trained on corpus text and prompts of the task, over and over."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from itertools import islice

import torch
from jaxtyping import Float
from torch import Tensor

from autointerp.config.sites import SitePoint
from autointerp.interventions.prompts import encode_prompts
from autointerp.interventions.tasks import draw_pairs
from autointerp.seeds import derive, stream
from autointerp.studies.cunningham2023.options import CunninghamOptions, main_entry
from autointerp.studies.paper import Setting
from autointerp.subject.activations import iter_training_batches, iter_training_chunks
from autointerp.subject.corpus import open_corpus
from autointerp.subject.model import Subject
from autointerp.subject.sinks import LONG
from sae_core.architectures.projection import ProjectionDictionary
from sae_core.build import build_dictionary
from sae_core.checkpoint import is_own, load_dictionary, save_dictionary
from sae_core.config import DictionaryConfig, TrainingConfig
from sae_core.dictionary import Dictionary
from sae_core.quality import measure_quality
from sae_core.training.loop import train_dictionaries

__all__ = ["task_dictionaries"]

PROMPTS_AT_ONCE = 32
HELD_OUT = 10
"""One activation in so many is kept for the quality."""


def task_dictionaries(
    setting: Setting[CunninghamOptions], subject: Subject, point: SitePoint, task: str
) -> tuple[dict[str, Dictionary], dict[str, float]]:
    """SAE, components, a random rotation and the basis itself; and the SAE's L0 and FVU on activations held out.

    The trained SAE is kept beside the runs, by all that it was made with.
    """
    entry = main_entry(setting)
    facts = [setting.config.model_dump(mode="json"), setting.options.model_dump(mode="json"), str(point), task]
    key = hashlib.blake2b(json.dumps(facts, sort_keys=True).encode(), digest_size=8).hexdigest()
    folder = setting.runs / f"{setting.name}-{task}-{key}"
    rows = _activations(setting, subject, point, task)
    is_held = torch.arange(len(rows)) % HELD_OUT == 0
    train, held = rows[~is_held], rows[is_held]
    n_features = entry.n_features or 4 * train.shape[1]
    if not is_own(folder):
        batch = setting.config.train.batch_tokens
        n_batches = setting.options.n_passes * (len(train) // batch)
        what = DictionaryConfig(**{**entry.dictionary_settings, "n_features": n_features})
        n_steps_between = max(1, n_batches // 8)
        training = TrainingConfig(
            **{
                **setting.config.train.stated(TrainingConfig),
                **entry.training_settings,
                "n_tokens": n_batches * batch,
                "batch_tokens": batch,
                "resample_every_steps": n_steps_between,
                "dead_after_tokens": n_steps_between * batch,
                "seed": derive(setting.config.seed, "task dictionary") % 2**31,
            }
        )
        batches = _batches(train, batch, setting.options.n_passes, seed=setting.config.seed)
        trained = train_dictionaries({entry.name: (what, training)}, batches, device=subject.device, sample=train)
        save_dictionary(trained[entry.name].dictionary, folder)
    sae = load_dictionary(folder, device=subject.device)
    quality = measure_quality(sae, [held])
    pca = build_dictionary(DictionaryConfig(kind="pca"), d_in=train.shape[1], seed=0, sample=train)
    basis = build_dictionary(DictionaryConfig(kind="identity"), d_in=train.shape[1], seed=0)
    found = {entry.name: sae, "pca": pca, "rotation": _rotation(train.shape[1], setting.config.seed), "basis": basis}
    facts_of = {"l0": quality.l0, "fvu": quality.fvu, "dead_frac": quality.dead_frac, "n_tokens": float(len(train))}
    return {name: each.to(subject.device) for name, each in found.items()}, facts_of


def _activations(
    setting: Setting[CunninghamOptions], subject: Subject, point: SitePoint, task: str
) -> Float[Tensor, "n d_in"]:
    """At text tokens of corpus and prompts; those far longer than the median are sinks, and left out."""
    config = setting.config
    batches = iter_training_batches(
        subject,
        open_corpus(config.corpus),
        max_tokens=config.corpus.dictionary_tokens,
        context_tokens=config.subject.context_tokens,
        batch_contexts=config.subject.batch_contexts,
    )
    parts = list(iter_training_chunks(subject, batches, point))
    pairs = draw_pairs(task, stream(config.seed, "task dictionary", task))
    texts = (text + pair.answers[0] + "." for pair in pairs for text in (pair.clean, pair.counterfactual))
    n_left = setting.options.task_tokens
    with setting.progress.bar(f"activations of {task} prompts", total=n_left, unit="tok") as bar:
        while n_left > 0:
            prompts = encode_prompts(subject, list(islice(texts, PROMPTS_AT_ONCE)))
            parts.append(subject.activations(prompts.tokens, [point])[point][prompts.is_text])
            n_left -= len(parts[-1])
            bar.update(setting.options.task_tokens - n_left)
    rows = torch.cat([part.cpu() for part in parts])
    norms = rows.norm(dim=1)
    return rows[norms <= LONG * norms.median()]


def _batches(rows: Tensor, size: int, n_passes: int, *, seed: int) -> Iterator[Tensor]:
    draw = torch.Generator().manual_seed(seed)
    for _ in range(n_passes):
        order = torch.randperm(len(rows), generator=draw)
        yield from (rows[chosen] for chosen in order[: len(rows) // size * size].split(size))


def _rotation(d_in: int, seed: int) -> Dictionary:
    """Random orthonormal directions."""
    made = ProjectionDictionary(DictionaryConfig(kind="random", n_features=d_in), d_in=d_in, n_features=d_in)
    draw = torch.Generator().manual_seed(seed)
    made.W_dec.copy_(torch.linalg.qr(torch.randn(d_in, d_in, generator=draw)).Q)
    return made
