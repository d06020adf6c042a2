"""The evidence of a whole run, as the stages after the harvest read it."""

from __future__ import annotations

from autointerp.config.tree import Config
from autointerp.records.evidence import Evidence
from autointerp.records.evidence_file import read_evidence
from autointerp.runs.layout import RunLayout

__all__ = ["read_all_evidence"]


def read_all_evidence(config: Config, layout: RunLayout) -> list[Evidence]:
    """The evidence of every dictionary, in the config's order. Raises ArtefactError for a missing or damaged file."""
    return [item for entry in config.dictionaries for item in read_evidence(layout.evidence_file(entry.name))]
