"""The protocol of an entry: all that a score depends on beside the dictionary, as plain values.

Seeds, feature numbers, limits, controls, subjects and sites are left out.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from autointerp.config.earlier import SPELT_OUT
from autointerp.config.tree import Config
from autointerp.records.verdict import NO_EXPLAINER

__all__ = ["FOREIGN", "describe_protocol", "differences", "hash_protocol", "protocol_of"]

FOREIGN = "foreign"  # key with the tool of results read from files

_NOT_OF_SCORES = {"harvest": {"n_features", "n_logits"}, "scorer": {"label", "judge"}, "explainer": {"label"}}
# Judge options that change answers, unlike address, speed or price.
_OF_ANSWERS = (
    "reply_format", "decisions", "chat_template_kwargs", "revision", "dtype", "quantization", "sensitivity",
    "specificity", "heads",
)  # fmt: skip
_FIRST = ("name", "n_positive", "n_negative", "n_near_miss", "n_windows", "sampling", "windows_per_request", "at_once")
_ASKED = ("max_tokens", "temperature", "reasks", "want_logprobs")


def describe_protocol(config: Config) -> dict[tuple[str, str], dict[str, Any]]:
    """Protocols by labels of (explainer, scorer); explainer `none` for scorers without explanation."""
    evidence = _but(config.harvest.model_dump(mode="json"), "harvest") | {
        "context_tokens": config.subject.context_tokens,
        "corpus": config.corpus.path if config.corpus.path == "builtin" else config.corpus.path.rsplit("/", 1)[-1],
        "evidence_tokens": config.corpus.evidence_tokens,
    }
    if config.subject.packing != "concatenate":  # said where it is not the default: protocols of before stay the same
        evidence["packing"] = config.subject.packing
    if config.subject.sinks != "mask":
        evidence["sinks"] = config.subject.sinks
    if config.subject.skip_first:
        evidence["skip_first"] = config.subject.skip_first
    explain = config.explain.model_dump(mode="json")
    score = config.score.model_dump(mode="json")
    protocols = {}
    for scorer in config.score.scorers:
        asked = _but(_spelt_out(scorer, "scorers"), "scorer") | {key: score[key] for key in _ASKED if key in score}
        asked |= {"judge_options": _options(config, config.score.judge_of(scorer))}
        rest = {"scorer": asked, "evidence": evidence}
        protocols[NO_EXPLAINER, scorer.label or scorer.name] = rest
        for explainer in config.explain.explainers:
            shown = _but(_spelt_out(explainer, "explainers"), "explainer")
            shown |= {key: explain[key] for key in _ASKED if key in explain}
            shown |= {"judge_options": _options(config, config.explain.judge)}
            protocols[explainer.label or explainer.name, scorer.label or scorer.name] = {**rest, "explainer": shown}
    return protocols


def hash_protocol(protocol: Mapping[str, Any]) -> str:
    """A short hash, equal for equal protocols."""
    return hashlib.sha256(json.dumps(protocol, sort_keys=True, ensure_ascii=False).encode()).hexdigest()[:16]


def protocol_of(entry: Mapping[str, Any]) -> dict[str, str]:
    """Dotted keys and values that entries ranked together share."""
    fixed = {
        name: entry.get(key, "")
        for name, key in (
            ("scorer", "scorer"),
            ("metric", "metric"),
            ("explainer", "explainer"),
            ("judge", "judge"),
            ("scorer's prompt", "prompt_hash"),
            ("explaining judge", "explain_judge"),
            ("explainer's prompt", "explain_prompt_hash"),
        )
    }
    fixed["metric"] = fixed["metric"] or "f1"
    return {**{key: str(value) for key, value in fixed.items()}, **_flat(entry.get("protocol") or {})}


def differences(first: Mapping[str, str], second: Mapping[str, str]) -> list[str]:
    """Differences as `key: value, not value`, the second protocol's value last."""
    keys = [key for key in dict.fromkeys([*first, *second]) if first.get(key) != second.get(key)]
    return [f"{key} {_shown(first.get(key))}, not {_shown(second.get(key))}" for key in keys]


def _options(config: Config, judge: str) -> dict[str, Any]:
    given = config.judges.get(judge.partition(":")[0], {})
    options: dict[str, Any] = {key: given[key] for key in _OF_ANSWERS if key in given}
    # what goes into every request may hold what is nobody's business: that it is the same is all that counts
    return options | ({"extra_body": hash_protocol(given["extra_body"])} if given.get("extra_body") else {})


def _spelt_out(settings: BaseModel, tables: str) -> dict[str, Any]:
    """All settings in their original order, so old and new protocols are equal."""
    values = SPELT_OUT[tables] | settings.model_dump(mode="json")
    return {key: values[key] for key in (*_FIRST, *settings.model_dump(), *values) if key in values}


def _but(values: Mapping[str, Any], section: str) -> dict[str, Any]:
    left_out = _NOT_OF_SCORES[section]
    return {key: value for key, value in values.items() if key not in left_out and value is not None}


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = str(value)
    return flat


def _shown(value: str | None) -> str:
    return "unsaid" if value in (None, "") else str(value)
