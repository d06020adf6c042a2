"""A run's dictionaries as it trained them, each with its site and firing rules."""

from __future__ import annotations

import torch

from autointerp.board.quality_file import load_quality
from autointerp.config.dictionary_entry import DictionaryEntry
from autointerp.config.tree import Config
from autointerp.harvest.firing import FiringRules
from autointerp.harvest.passes import LoadedDictionary
from autointerp.runs.layout import RunLayout
from autointerp.stages.objects import Objects
from autointerp.stages.ready_dictionaries import reopen
from autointerp.stages.site_activations import keep_dtype
from autointerp.stages.workbench import Workbench, out_point_of, point_of
from autointerp.subject.sinks import NO_LIMIT

__all__ = ["load_dictionary", "open_dictionaries"]


def open_dictionaries(
    bench: Workbench, layout: RunLayout, *, objects: Objects | None = None
) -> dict[str, LoadedDictionary]:
    """All of them by name; the subject takes the number type of their training."""
    keep_dtype(bench.subject, layout)
    device, config = bench.subject.device, bench.config
    return {
        entry.name: load_dictionary(entry, config, layout, device=device, objects=objects)
        for entry in config.every_dictionary
    }


def load_dictionary(
    entry: DictionaryEntry, config: Config, layout: RunLayout, *, device: torch.device, objects: Objects | None = None
) -> LoadedDictionary:
    """One of them. Raises as `reopen`."""
    dictionary = reopen(entry, layout, device=device, objects=objects)
    return LoadedDictionary(
        dictionary,
        point_of(config, entry),
        FiringRules.load(layout.dictionary(entry.name)),
        _longest(config, layout, entry.name),
        out_point_of(config, entry, dictionary),
    )


def _longest(config: Config, layout: RunLayout, name: str) -> float:
    """The length of an activation beyond which a token is a sink, at the dictionary's site."""
    quality = load_quality(layout, name) if config.subject.sinks == "mask" else None
    return NO_LIMIT if quality is None or quality.sinks is None else quality.sinks.longest
