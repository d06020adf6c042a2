"""What the `config.toml` of an earlier run says, as it is said now, so that the run goes on.

Such a file spells out for every dictionary, explainer and scorer the settings of all kinds, used or not. A table that
holds them all was written so: what is a default there, or of no use to the kind, was said by nobody.
"""

from __future__ import annotations

from typing import Any

from autointerp.config.dictionary_entry import takes

__all__ = ["SPELT_OUT", "as_said_now"]

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
"""By list of tables, the settings of some kinds that were written of all, with their defaults."""


def as_said_now(tree: dict[str, Any]) -> dict[str, Any]:
    """The tree without what an earlier version spelt out; changed in place."""
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
