"""The Markdown document of a study."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from autointerp.tables import markdown_table
from synthetic_studies.comparison import TOLERANCE, Comparison
from synthetic_studies.study import Row, Study, StudySettings, Table

__all__ = ["render_document", "render_table"]

PAPER = "O'Neill, Gumran and Klindt, arXiv 2411.13117"


def render_document(
    study: Study, rows: Sequence[Row], settings: StudySettings, *, preset: str, command: str, cpu_s: float
) -> str:
    parts = [
        f"# {study.title}",
        study.question.strip(),
        f"![{study.title}]({study.name}.png)",
        _facts(settings, preset=preset, command=command, cpu_s=cpu_s, name=study.name),
    ]
    comparisons = study.comparisons(rows, settings)
    if comparisons:
        parts.append(_comparison_section(comparisons, preset=preset))
    parts += [render_table(table) for table in study.tables(rows, settings)]
    # What a study shows is said of the paper's size only: the small preset is there to see that it works.
    notes = study.notes(rows, settings) if preset == "full" else []
    if notes:
        parts.append("## What it shows\n\n" + "\n".join(f"- {note}" for note in notes))
    return "\n\n".join(parts) + "\n"


def render_table(table: Table) -> str:
    """A Markdown table under its title."""
    heads, *rows = ([text.replace("|", "\\|") for text in texts] for texts in (table.heads, *table.rows))
    lines = [f"## {table.title}", "", *markdown_table(heads, rows, rule="|" + "---|" * len(heads))]
    return "\n".join([*lines, "", table.note] if table.note else lines)


def _facts(settings: StudySettings, *, preset: str, command: str, cpu_s: float, name: str) -> str:
    values = ", ".join(f"{key} {_value(value)}" for key, value in asdict(settings).items())
    return "\n".join(
        [
            f"- Made by `{command}` (preset `{preset}`) in {cpu_s:,.0f} CPU seconds; every row is in `{name}.csv`.",
            f"- Settings: {values}. Seeds are 0 to n_seeds - 1 unless said otherwise; nothing depends on the machine's",
            "  random state. ± is the standard deviation over seeds. In the figure bars and bands are 95% t-intervals;",
            "  dashes at a panel's right edge, dotted lines and crosses are published values.",
        ]
    )


def _comparison_section(comparisons: Sequence[Comparison], *, preset: str) -> str:
    rows = tuple(
        (
            each.what,
            each.published_text,
            str(each.ours),
            f"{each.difference:+.3f}",
            each.verdict + (f"; {each.note}" if each.note else ""),
        )
        for each in comparisons
    )
    n_good = sum(each.is_reproduced for each in comparisons)
    note = (
        f"{n_good} of {len(comparisons)} within {TOLERANCE} or within two standard deviations (of the difference of "
        f"two runs, ours and theirs) of the values published with {PAPER}."
    )
    if preset != "full":
        note += (
            f" Preset `{preset}` is smaller than the paper's setting: these verdicts show the form, not the finding."
        )
    return render_table(
        Table("Published and ours", ("quantity", "published", "ours", "difference", "verdict"), rows, note)
    )


def _value(value: object) -> str:
    if isinstance(value, (tuple, list)):
        return "(" + ", ".join(map(_value, value)) + ")"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return f"{value:g}" if isinstance(value, float) else str(value)
