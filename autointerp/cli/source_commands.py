"""The command `corpus`."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from autointerp.cli.display import echo
from autointerp.tensor_half import needs_tensor_half

__all__ = ["corpus"]

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def corpus(as_json: Json = False) -> None:
    """Show what the builtin corpus holds on this machine."""
    with needs_tensor_half("corpus"):
        from autointerp.subject.builtin.corpus import builtin_corpus_statistics
    statistics = builtin_corpus_statistics()
    if as_json:
        echo(json.dumps(asdict(statistics), indent=2))
        return
    echo(f"{statistics.n_documents:,} documents, {statistics.n_bytes / 1e6:.1f} MB, hash {statistics.corpus_hash}")
    for part, n_bytes in statistics.n_bytes_by_part.items():
        roles = ", ".join(f"{role} {n / 1e6:.2f}" for role, n in statistics.n_bytes_by_part_and_role[part].items())
        echo(f"  {part:<10} {statistics.n_documents_by_part[part]:>5,} documents {n_bytes / 1e6:6.2f} MB ({roles} MB)")
