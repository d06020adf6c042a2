"""Tables as text: columns go in their order where the terminal is narrow, texts wrap, cells are never markup."""

from __future__ import annotations

import pytest

from autointerp.tables import Column, Page, markdown_table

COLUMNS = [Column("name", is_text=True, can_wrap=True), Column("first", 2), Column("second", 1), Column("kept")]
ROWS = [["[red]a name of many words[/]", "1", "2", "3"], ["b", "10", "20", "30"]]


@pytest.mark.parametrize(("width", "left_out"), [(80, []), (44, ["second"]), (36, ["first", "second"])])
def test_columns_are_left_out_in_their_order(width: int, left_out: list[str]) -> None:
    page = Page(width)
    assert page.table(COLUMNS, ROWS) == left_out
    lines = page.text().splitlines()
    assert lines[0].split() == [column.head for column in COLUMNS if column.head not in left_out]
    assert lines[1].startswith("[red]a name of many words[/]")


@pytest.mark.parametrize("width", range(15, 33))
def test_a_text_wraps_where_no_column_is_left_to_go(width: int) -> None:
    page = Page(width)
    page.table(COLUMNS, ROWS)
    lines = page.text().splitlines()
    assert max(map(len, lines)) <= width
    assert "".join(line[: width - 5] for line in lines[1:-1]).replace(" ", "") == "[red]anameofmanywords[/]"


def test_figures_that_cannot_wrap_are_not_cut() -> None:
    page = Page(5)
    page.table([Column("one", is_text=True), Column("two", foot="12345")], [["long name", "1"]])
    assert page.text() == "one         two\nlong name     1\n          12345\n"


def test_a_page_has_lines_and_colour_only_where_asked_for() -> None:
    for has_colour in (False, True):
        page = Page(20, has_colour=has_colour)
        page.line("a title", "bold")
        assert ("\x1b[" in page.text()) == has_colour
        assert "a title" in page.text()


def test_markdown_has_the_rule_below_its_heads() -> None:
    assert markdown_table(["a", "b"], [["1", "2"]], rule="|---|---:|") == ["| a | b |", "|---|---:|", "| 1 | 2 |"]
