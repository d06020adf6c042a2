"""A run's model held open: which features fire where in a text, and what holding one does to a prompt."""

from __future__ import annotations

import threading
from dataclasses import asdict
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from autointerp.harvest.firing import Firings, find_firings
from autointerp.interventions.prompts import encode_prompts
from autointerp.run import Run
from autointerp.safe_text import without_folders
from autointerp.stages.run_model import RunModel
from autointerp.stages.steering import steer_in_words
from autointerp.subject.tokens import TokenText, span_text

__all__ = ["Bench"]

_SHOWN = 40
"""Features of a dictionary that are sent to the page, those that fire most strongly."""


class Bench:
    """One question at a time. Opening raises ArtefactError where the run has no weights, SubjectError where its subject
    cannot be loaded.
    """

    def __init__(self, run: Run) -> None:
        self._model = RunModel(run)
        self._lock = threading.Lock()
        for name in self._model.names:
            self._model.dictionary(name)
        subject = self._model.subject
        self._text = TokenText.of(subject.tokenizer, vocab_size=subject.vocab_size)
        self._told = _explanations(run)

    @property
    def about(self) -> str:
        return f"{without_folders(self._model.subject.name)} with {', '.join(self._model.names)}"

    @torch.no_grad()
    def read(self, text: str) -> dict[str, Any]:
        """Tokens, and of each dictionary the features that fire, strongest first, with their activations by token.

        Attention sinks fire nothing where the run leaves them out. Raises InputError for a text that is empty or longer
        than the subject's positions.
        """
        with self._lock:
            subject = self._model.subject
            prompts = encode_prompts(subject, [text])
            loaded = {name: self._model.dictionary(name) for name in self._model.names}
            found = subject.activations(prompts.tokens, list({each.point: None for each in loaded.values()}))
            is_text = prompts.is_text[0]
            dictionaries = []
            for name, each in loaded.items():
                x = found[each.point][0][is_text.to(found[each.point].device)]
                firings = find_firings(each.dictionary, each.rules, x)
                is_sink = (x.norm(dim=-1) > each.longest).cpu().numpy()
                kept = ~is_sink[firings.row]
                firings = Firings(*(part[kept] for part in firings))
                dictionaries.append({"name": name, "site": str(each.point), **self._strongest(name, firings)})
            ids = prompts.tokens[0][is_text].tolist()
        return {"tokens": _token_texts(self._text, ids), "ids": ids, "dictionaries": dictionaries}

    def steer(
        self, feature: str, prompt: str, *, strength: str, at: str, n_tokens: int, temperature: float, seed: int
    ) -> dict[str, Any]:
        """Raises ConfigError or InputError for what cannot be held or asked."""
        with self._lock:
            held = self._model.feature(feature)
            (steered,) = steer_in_words(
                held, [prompt], strengths=[strength], at=at, n_tokens=n_tokens, temperature=temperature, seed=seed
            )
        return asdict(steered) | {"max_activation": held.max_activation, "point": str(held.point)}

    def _strongest(self, name: str, firings: Firings) -> dict[str, Any]:
        """Firings are ordered by feature."""
        features, starts = np.unique(firings.feature, return_index=True)
        ends = [*starts[1:].tolist(), len(firings.feature)]
        spans = [
            (feature, firings.row[a:b].tolist(), firings.value[a:b].tolist())
            for feature, a, b in zip(features.tolist(), starts.tolist(), ends, strict=True)
        ]
        known = self._model.strongest(name)
        shown = [
            {
                "feature": feature,
                "told": self._told.get((name, feature)),
                "is_sampled": feature in known,
                "max": _round(max(values)),
                "acts": [[row, _round(value)] for row, value in zip(rows, values, strict=True)],
            }
            for feature, rows, values in sorted(spans, key=lambda span: -max(span[2]))[:_SHOWN]
        ]
        return {"n_firing": len(spans), "features": shown}


def _explanations(run: Run) -> dict[tuple[str, int], str]:
    """The first explainer's text of each feature that has one."""
    if not run.layout.journal.is_file():
        return {}
    with run.open_journal() as journal:
        told = sorted(journal.load_explanations(), key=lambda each: each.explainer, reverse=True)
    return {(each.dictionary, each.feature): each.text for each in told if each.text}


def _token_texts(text: TokenText, ids: list[int]) -> list[str]:
    """A part of a character is shown as U+FFFD."""
    content, starts = span_text(text.document_pieces(ids))
    raw = content.encode()
    return [raw[a:b].decode(errors="replace") for a, b in pairwise(starts)]


def _round(value: float) -> float:
    return float(f"{value:.4g}")
