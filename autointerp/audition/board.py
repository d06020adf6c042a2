"""The leaderboard of judges, one section per exam and scorer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from autointerp.tables import Column, Page, markdown_table

__all__ = ["FORMATS", "Section", "build_sections", "render_board"]

FORMATS = ("table", "md", "json")
_MIN_WIDTH = 40

LEGEND = (
    "balanced: mean of sensitivity and specificity, told the right explanation; a lost answer is wrong. "
    "easy, medium, hard: the same by level. "
    "ordered: concepts whose right explanation scores above the slightly wrong one, and that above the foreign one. "
    "obeys: answers as the wrong or foreign explanation says where the feature does otherwise. "
    "same, reordered: equal answers to a repeated question, and in reversed order. "
    "position: called firing in the first half of a list minus in the second, same windows. "
    "yes: called firing minus firing. "
    "pull: called firing on lists of two firing windows minus on lists of eight, same windows. "
    "even: lopsided lists answered half and half. Intervals 95%, over concepts."
)


class Section(NamedTuple):
    """Judges best first; `rows` are (judge, grades)."""

    exam: Mapping[str, Any]
    scorer: str
    rows: tuple[tuple[str, Mapping[str, Any]], ...]

    @property
    def title(self) -> str:
        exam = self.exam
        levels = f"{', '.join(exam['levels'])}, " if "levels" in exam else ""  # exam 1 had none
        babel = f", Babel {exam['babel']}" if exam.get("babel") else ""
        return (
            f"scorer {self.scorer}: exam {exam['version']}, {exam['size']}, {levels}{exam['n_concepts']} concepts, "
            f"wording {exam['wording']}, hash {exam['hash']}, Python {exam['python']}{babel}"
        )


def build_sections(certificates: Sequence[Mapping[str, Any]]) -> list[Section]:
    groups: dict[tuple[str, str, str], list[Mapping[str, Any]]] = {}
    for certificate in certificates:
        for scorer in certificate["marks"]:
            key = (scorer, certificate["exam"]["hash"], certificate["exam"]["wording"])
            groups.setdefault(key, []).append(certificate)
    return [
        Section(
            own[0]["exam"],
            scorer,
            tuple(sorted(((one["judge"], one["marks"][scorer]) for one in own), key=_rank)),
        )
        for (scorer, _, _), own in sorted(groups.items())
    ]


def _rank(row: tuple[str, Mapping[str, Any]]) -> tuple[float, float, str]:
    judge, grades = row
    return -_mean(grades["balanced_accuracy"], -1.0), -_mean(grades["ordered"], -1.0), judge


def _mean(interval: Mapping[str, Any] | None, default: float) -> float:
    return default if interval is None else interval["mean"]


def _interval(key: str, *, signed: bool = False) -> Callable[[Mapping[str, Any]], tuple[str, str]]:
    def cell(grades: Mapping[str, Any]) -> tuple[str, str]:
        interval = grades[key]
        if interval is None:
            return "-", ""
        sign = "+" if signed else ""
        bounds = ", ".join(_short(interval[end], signed=signed) for end in ("lo", "hi"))
        return f"{interval['mean']:{sign}.3f}", bounds

    return cell


def _level(name: str) -> Callable[[Mapping[str, Any]], tuple[str, str]]:
    # exam 1 had no levels
    return lambda grades: _interval(name)({name: None, **grades.get("levels", {})})


def _short(value: float, *, signed: bool) -> str:
    text = f"{value:{'+' if signed else ''}.2f}"
    return text.replace("0.", ".", 1) if text.lstrip("+-").startswith("0.") else text


def _number(key: str, form: str) -> Callable[[Mapping[str, Any]], tuple[str, str]]:
    return lambda grades: ("-" if grades[key] is None else format(grades[key], form), "")


class _Grade(NamedTuple):
    column: Column
    cell: Callable[[Mapping[str, Any]], tuple[str, str]]
    """Figure and bounds."""


_GRADES = (
    _Grade(Column("balanced"), _interval("balanced_accuracy")),
    _Grade(Column("easy", 13), _level("easy")),
    _Grade(Column("medium", 14), _level("medium")),
    _Grade(Column("hard", 15), _level("hard")),
    _Grade(Column("sens."), _interval("sensitivity")),
    _Grade(Column("spec."), _interval("specificity")),
    _Grade(Column("AUROC", 9), _interval("auroc")),
    _Grade(Column("ordered", 12), _interval("ordered")),
    _Grade(Column("obeys", 11), _interval("obeys")),
    _Grade(Column("calib. error", 1), _number("calibration_error", ".3f")),
    _Grade(Column("same", 6), _interval("repeat_agreement")),
    _Grade(Column("reordered", 5), _interval("order_agreement")),
    _Grade(Column("position", 8), _interval("position_bias", signed=True)),
    _Grade(Column("yes", 7), _interval("yes_bias", signed=True)),
    _Grade(Column("pull", 4), _interval("balance_pull", signed=True)),
    _Grade(Column("even", 3), _interval("even_frac")),
    _Grade(Column("unparsed", 10), _number("unparsed_frac", ".1%")),
    _Grade(Column("USD per 1,000", 2), _number("usd_per_1000", ".3f")),
)


def render_board(certificates: Sequence[Mapping[str, Any]], format: str = "table", *, width: int = 100) -> str:
    """Raises ValueError for a format not in `FORMATS`."""
    sections = build_sections(certificates)
    if format == "table":
        return _terminal(sections, max(width, _MIN_WIDTH))
    if format == "md":
        return _markdown(sections)
    raise ValueError(f"no such format: {format}")


def _markdown(sections: Sequence[Section]) -> str:
    lines: list[str] = []
    heads = ["judge", *(grade.column.head for grade in _GRADES)]
    for section in sections:
        rows = [
            [judge, *(f"{figure} ({bounds})" if bounds else figure for figure, bounds in _cells(grades))]
            for judge, grades in section.rows
        ]
        lines += [
            f"**{section.title}**",
            "",
            *markdown_table(heads, rows, rule="| --- |" + " ---: |" * len(_GRADES)),
            "",
        ]
    return "\n".join([*lines, LEGEND]) + "\n"


def _cells(grades: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [grade.cell(grades) for grade in _GRADES]


def _terminal(sections: Sequence[Section], width: int) -> str:
    page = Page(width)
    columns = [Column("judge", is_text=True, can_wrap=True, max_width=24), *(grade.column for grade in _GRADES)]
    left_out: set[str] = set()
    for section in sections:
        page.line(section.title)
        rows = [[judge, *("\n".join(filter(None, cell)) for cell in _cells(grades))] for judge, grades in section.rows]
        left_out |= set(page.table(columns, rows))
        page.line()
    page.line(LEGEND)
    if left_out:
        heads = ", ".join(column.head for column in columns if column.head in left_out)
        page.line(f"Left out for want of width: {heads}; see --format md.")
    return page.text()
