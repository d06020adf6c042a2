"""A dictionary as JSON-ready facts, and an empty dictionary of the same make from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from itertools import pairwise
from typing import Any

from sae_core.adapter import AdaptedDictionary
from sae_core.architectures.inferred import InferredDictionary
from sae_core.architectures.matching_pursuit import MatchingPursuitDictionary
from sae_core.architectures.normalised import NormalisedDictionary
from sae_core.architectures.ruled import RuledDictionary
from sae_core.architectures.transcoder import TranscoderDictionary
from sae_core.build import FAMILIES
from sae_core.config import DictionaryConfig
from sae_core.dictionary import Dictionary
from sae_core.randomness import generator

__all__ = ["describe", "kind_of", "least_values", "rebuild"]

IMPORTED_FAMILIES: dict[str, Any] = {
    family.family: family
    for family in (RuledDictionary, TranscoderDictionary, MatchingPursuitDictionary, AdaptedDictionary)
}


def describe(dictionary: Dictionary) -> dict[str, Any]:
    """The facts from which `rebuild` makes an empty one."""
    if isinstance(dictionary, NormalisedDictionary):
        return {"family": dictionary.family, "options": dictionary.options, "inner": describe(dictionary.inner)}
    facts: dict[str, Any] = {"config": asdict(dictionary.config)}
    if isinstance(dictionary, RuledDictionary | MatchingPursuitDictionary | AdaptedDictionary):
        facts |= {"family": dictionary.family, "options": dictionary.options}
    if isinstance(dictionary, InferredDictionary) and dictionary.encoder is not None:
        facts |= {"family": dictionary.family, "inner": describe(dictionary.encoder)}
    return facts


def rebuild(facts: Mapping[str, Any], *, d_in: int) -> Dictionary:
    """The described dictionary with placeholder values.

    Raises KeyError, TypeError or ValueError for facts that describe none.
    """
    family = facts.get("family")
    if family == NormalisedDictionary.family:
        return NormalisedDictionary(rebuild(facts["inner"], d_in=d_in), **facts["options"])
    config = _config(facts["config"])
    if family == InferredDictionary.family:
        return InferredDictionary(config, d_in=d_in, encoder=rebuild(facts["inner"], d_in=d_in))
    if family is not None:
        return IMPORTED_FAMILIES[family](config, d_in=d_in, **facts["options"])
    return FAMILIES[config.kind](config, d_in, generator(0, "load"), None)


def least_values(facts: Mapping[str, Any], *, d_in: int) -> int:
    """Lower bound of the values in the tensors of a described dictionary, known before it is built.

    Raises KeyError or TypeError for facts that describe none.
    """
    if facts.get("family") == NormalisedDictionary.family:
        return least_values(facts["inner"], d_in=d_in)
    config, options = facts["config"], facts.get("options", {})
    if config["kind"] == "identity":
        return d_in
    widths = [d_in, *(config.get("hidden", ()) if config["kind"] == "mlp" else ()), config.get("n_features") or d_in]
    d_out = options.get("d_out", d_in)
    decoder = widths[-1] * d_out
    skip = d_in * d_out if options.get("has_skip") else 0
    encoder = sum(read * written for read, written in pairwise(widths))
    inner = least_values(facts["inner"], d_in=d_in) if "inner" in facts else 0
    return max(decoder, encoder, skip, inner)


def kind_of(dictionary: Dictionary) -> str:
    """The name users know: the kind, or the rule of an import."""
    if isinstance(dictionary, NormalisedDictionary):
        return f"{kind_of(dictionary.inner)} over {dictionary.method}"
    if isinstance(dictionary, TranscoderDictionary):
        return f"{dictionary.rule} {'cross-layer ' if dictionary.is_cross_layer else ''}transcoder"
    if isinstance(dictionary, AdaptedDictionary):
        return dictionary.of
    if isinstance(dictionary, RuledDictionary):
        return f"{dictionary.rule} with {'a skip' if dictionary.has_skip else 'scaled codes'}"
    return "matching_pursuit" if isinstance(dictionary, MatchingPursuitDictionary) else dictionary.config.kind


def _config(values: Mapping[str, Any]) -> DictionaryConfig:
    known = {field.name for field in fields(DictionaryConfig)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise ValueError(f"unknown field {unknown[0]}")
    # JSON has no tuples.
    stated: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
    return DictionaryConfig(**stated)
