"""The papers that have a study, by name."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from autointerp.studies.paper import PaperStudy

__all__ = ["PAPERS", "open_paper"]

PAPERS = {
    "bricken2023": "which claims of Bricken et al. 2023 (Towards Monosemanticity) hold on a subject?",
    "cunningham2023": "which claims of Cunningham et al. 2023 (SAEs in residual streams) hold on a subject?",
    "oneill2024": "which claims of O'Neill et al. 2024 (the amortisation gap) hold on sparse codes and a subject?",
}


def open_paper(name: str) -> PaperStudy[Any]:
    """The study of a name of PAPERS, in `studies/NAME/study.py`."""
    return import_module(f"autointerp.studies.{name}.study").STUDY
