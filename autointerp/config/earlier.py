"""Reads the `config.toml` of an earlier run: it spells out the settings of all kinds for every table, and names no
version of the prompts."""

from __future__ import annotations

from typing import Any

from autointerp.config.dictionary_entry import takes

__all__ = ["SPELT_OUT", "as_said_now"]

# Settings of some kinds once written for all, with defaults, by list of tables.
SPELT_OUT: dict[str, dict[str, Any]] = {
    "dictionaries": {"k": 32, "hidden": [], "prefixes": []},
    "explainers": {
        "reasoning": True,
        "n_silent": 10,
        "n_candidates": 4,
        "candidates_of": "windows",
        "candidate_temperature": 0.8,
        "chosen_by": "detection",
    },
    "scorers": {"at_once": True, "n_trials": 10, "intruders": "random", "marks": False},
}

# Keys that every run writes into its config and nobody writes all of.
_OF_A_RUN = frozenset({"judge", "scorers", "max_tokens", "temperature", "reasks", "want_logprobs"})


def as_said_now(tree: dict[str, Any]) -> dict[str, Any]:
    """The tree without unused defaults of an earlier version, and with that version's prompts, changed in place."""
    score = tree.get("score")
    if isinstance(score, dict) and score.keys() >= _OF_A_RUN:
        score.setdefault("prompts", 1)
    for section, name in ((tree, "dictionaries"), (tree.get("explain"), "explainers"), (tree.get("score"), "scorers")):
        tables = section.get(name) if isinstance(section, dict) else None
        if isinstance(section, dict) and isinstance(tables, list):
            section[name] = [_said(table, SPELT_OUT[name]) for table in tables]
    return tree


def _said(table: Any, spelt_out: dict[str, Any]) -> Any:
    if not isinstance(table, dict) or not spelt_out.keys() <= table.keys():
        return table
    said = {key: value for key, value in table.items() if key not in spelt_out or value != spelt_out[key]}
    kind, output = said.get("kind"), said.get("output")
    return said if kind is None else {key: value for key, value in said.items() if takes(kind, key, output=output)}
