"""What must not change by accident: a tiny run's results, the command line's options, the names others import.

`python -m tests.frozen.facts` writes the frozen files anew; the difference then stands in the commit that means it.
"""

from __future__ import annotations

import importlib
import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pandas as pd
from typer.main import get_command

from autointerp.builtin_plugins import BUILTIN
from autointerp.cli.main import app
from autointerp.progress import SilentProgress
from autointerp.stages import explain, report, score
from tests.stages.harvested import make_config, make_run

__all__ = ["FACTS", "FROZEN"]

FROZEN = Path(__file__).parent
DIGITS = 9
"""Significant digits of a frozen float: sums differ in the last ones between processors."""
PUBLIC_MODULES = (
    "autointerp",
    "sae_core",
    "autointerp.errors",
    "autointerp.judges.judge",
    "autointerp.judges.tasks",
    "autointerp.explain.explainer",
    "autointerp.score.scorer",
    "autointerp.records.evidence",
    "autointerp.records.window",
    "autointerp.records.verdict",
)


def frozen_run() -> str:
    """summary.json and scores.parquet of a run without torch, for a judge that guesses and one that reads."""
    lines = []
    for judge in ("coin", "pattern"):
        with tempfile.TemporaryDirectory() as folder:
            config = make_config(f"score.judge='{judge}'", "explain.judge='pattern'")
            layout = make_run(Path(folder) / "run", config)
            for stage in (explain, score, report):
                stage.run(config, layout, SilentProgress())
            summary = json.loads(layout.summary.read_text(encoding="utf-8"))
            scores = json.loads(pd.read_parquet(layout.scores).to_json(orient="records", double_precision=15))
        facts = {key: value for key, value in summary.items() if key != "entries"}
        lines += [_line(record) for record in ({"judge": judge} | facts, *summary["entries"], *scores)]
    return "".join(lines)


def _line(record: dict[str, Any]) -> str:
    return json.dumps(_rounded(record), sort_keys=True, ensure_ascii=False) + "\n"


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value


def frozen_options() -> str:
    """Every command with its arguments and options, a line each."""
    return "\n".join(_option_lines(get_command(app), "autointerp")) + "\n"


def _option_lines(command: click.Command, path: str) -> Iterator[str]:
    for parameter in command.params:
        yield f"{path} {' '.join(sorted(parameter.opts + parameter.secondary_opts))}"
    for name, child in sorted(getattr(command, "commands", {}).items()):
        yield from _option_lines(child, f"{path} {name}")


def frozen_names() -> str:
    """The public names of the modules that others import, and the names of the built-in plug-ins."""
    lines = []
    for module in PUBLIC_MODULES:
        lines += [f"{module}.{name}" for name in sorted(getattr(importlib.import_module(module), "__all__", ()))]
    lines += [f"{group}: {name}" for group in sorted(BUILTIN) for name in sorted(BUILTIN[group])]
    return "\n".join(lines) + "\n"


FACTS: dict[str, Callable[[], str]] = {
    "run.jsonl": frozen_run,
    "cli_options.txt": frozen_options,
    "public_names.txt": frozen_names,
}


if __name__ == "__main__":
    for name, fact in FACTS.items():
        (FROZEN / name).write_text(fact(), encoding="utf-8")
