"""The hard concepts: decided by grammar, knowledge or counting, not by neighbouring tokens."""

from __future__ import annotations

import ast

from autointerp.audition import code_roles, reach
from autointerp.audition.concept import Concept, Span, Truth, concept, regex_spans
from autointerp.audition.items import DAYS
from autointerp.audition.names import NAME_KINDS, NameKind, named

__all__ = ["HARD"]

_ANY_NAME = named(*NAME_KINDS)


def _name(name: str, text: str, kind: NameKind, other: NameKind, other_text: str) -> Concept:
    """`other`: the kind that the slightly wrong explanation takes in."""
    return concept(
        name,
        "meaning",
        (f"names of {text}, in any language", named(kind)),
        *(f"name_{own}" for own in NAME_KINDS for _ in range(len(NAME_KINDS) if own == kind else 1)),
        broader=(f"names of {text} or of {other_text}, in any language", named(kind, other)),
        surface=_ANY_NAME,
    )


_CODE = (
    concept(
        "third_argument",
        "code_role",
        (
            "the third argument of a call, where it and those before it are given without a name",
            code_roles.third_arguments(),
        ),
        narrower=(
            "the third argument of a call and a single name, where it and those before it are given without a name",
            code_roles.third_arguments(lambda value: isinstance(value, ast.Name)),
        ),
        surface=code_roles.arguments_or_members,
    ),
    concept(
        "unused_parameter",
        "code_role",
        ("a parameter of a def that the body of its function never names", code_roles.parameters(0)),
        broader=(
            "a parameter of a def that the body of its function names once or never",
            code_roles.parameters(1),
        ),
        surface=code_roles.parameters(),
    ),
    concept(
        "default_value",
        "code_role",
        (
            "True, False, a number or a string as the default value of a parameter, where a def or a lambda states it",
            code_roles.default_values(code_roles.is_constant),
        ),
        narrower=(
            "True or False as the default value of a parameter, where a def or a lambda states it",
            code_roles.default_values(lambda value: isinstance(value, ast.Constant) and isinstance(value.value, bool)),
        ),
        surface=code_roles.constants_after_equals,
    ),
    concept(
        "return_in_loop",
        "code_role",
        (
            "the word 'return' in the body of a for or while loop of the same function",
            code_roles.returns(code_roles.LOOPS),
        ),
        narrower=(
            "the word 'return' in the body of a for loop of the same function",
            code_roles.returns(code_roles.FOR),
        ),
        surface=code_roles.returns(),
    ),
    concept(
        "parameter_in_f_string",
        "code_role",
        (
            "a parameter of a def that stands in the braces of an f-string, alone or before !r",
            code_roles.names_in_f_strings(is_parameter=True),
        ),
        narrower=(
            "a parameter of a def that stands in the braces of an f-string before !r",
            code_roles.names_in_f_strings(is_parameter=True, is_converted=True),
        ),
        surface=code_roles.names_in_f_strings(),
    ),
    concept(
        "inner_function",
        "code_role",
        (
            "the name of a function at its definition inside another function",
            code_roles.function_names(lambda is_inner, node: is_inner),
        ),
        narrower=(
            "the name of a function at its definition inside another function, where it has a parameter",
            code_roles.function_names(lambda is_inner, node: is_inner and bool(node.args.args)),
        ),
        # at the first def of several, or at one that is indented
        surface=regex_spans(r"(?s)(?<=def )\w+(?=.*\n *def )|(?<=\n    def )\w+|(?<=\n        def )\w+"),
    ),
    concept(
        "comment_in_loop",
        "code_role",
        (
            "a comment behind code on the same line, in the body of a for or while loop",
            code_roles.comments_after_code(code_roles.LOOPS),
        ),
        narrower=(
            "a comment behind code on the same line, in the body of a for loop",
            code_roles.comments_after_code(code_roles.FOR),
        ),
        surface=code_roles.comments_after_code(),
    ),
)

_MEANING = (
    _name("country", "countries and territories", "country", "language", "languages"),
    _name("currency", "currencies", "currency", "country", "countries and territories"),
    _name("month", "months", "month", "measure", "units that measure no length"),
    _name("language", "languages", "language", "country", "countries and territories"),
    _name("length", "units of length", "length", "measure", "other units"),
    concept(
        "called_weekday",
        "meaning",
        (
            "a weekday word that is somebody's name, since 'called' and the same word stand before it in the text",
            reach.is_called_so(),
        ),
        "called_weekday",
        narrower=(
            "a weekday word with T or S at its head that is somebody's name, since 'called' and the same word stand "
            "before it in the text",
            reach.is_called_so(tuple(day for day in DAYS if day[0] in "TS")),
        ),
        surface=reach.is_called_so(is_any=True),
    ),
)

_LONG_RANGE = (
    concept(
        "open_bracket",
        "long_range",
        (
            "a number inside round brackets with eight or more words between the opening bracket and it",
            reach.inside("(", ")", 8),
        ),
        "bracketed",
        broader=("a number inside round brackets", reach.inside("(", ")")),
        surface=regex_spans(r"\d+"),
    ),
    concept(
        "open_quotation",
        "long_range",
        (
            "a number inside curly quotation marks with eight or more words between the opening mark and it",
            reach.inside("“", "”", 8),
        ),
        "quoted",
        broader=("a number inside curly quotation marks", reach.inside("“", "”")),
        surface=regex_spans(r"\d+"),
    ),
    concept(
        "second_mention",
        "long_range",
        (
            "a name behind 'Mr' that stands behind 'Mr' earlier in the text, too, 'Mr' included",
            reach.later_mentions("again"),
        ),
        "mentions",
        narrower=(
            "a name behind 'Mr' that also was the name behind the last 'Mr' before it, 'Mr' included",
            reach.later_mentions("last"),
        ),
        surface=reach.later_mentions(),
    ),
    concept(
        "odd_count",
        "long_range",
        ("an exclamation mark with an odd number of semicolons before it in the text", reach.after_odd_count()),
        "semicolons",
        narrower=(
            "an exclamation mark with an odd number of semicolons before it in the text, three or more",
            reach.after_odd_count(3),
        ),
        surface=regex_spans("!"),
    ),
)

_GRADED = (
    concept(
        "sum",
        "graded",
        ("two numbers joined by a plus sign whose sum is above 100", reach.sum_above(100)),
        "sum",
        broader=("two numbers joined by a plus sign whose sum is above 90", reach.sum_above(90)),
        surface=reach.sum_above(0),
    ),
    concept(
        "dates_apart",
        "graded",
        ("two dates joined by 'to' that lie more than 60 days apart", reach.dates_apart(60)),
        "date_pair",
        broader=("two dates joined by 'to' that lie more than 50 days apart", reach.dates_apart(50)),
        surface=reach.dates_apart(0),
    ),
    concept(
        "long_bracket",
        "graded",
        ("a closing round bracket of a pair with twelve or more words inside", reach.holds_words(12)),
        "brackets",
        broader=("a closing round bracket of a pair with nine or more words inside", reach.holds_words(9)),
        surface=regex_spans(r"\)"),
    ),
    concept(
        "long_list",
        "graded",
        ("a list in square brackets with six or more members", reach.list_of(6)),
        "list",
        broader=("a list in square brackets with five or more members", reach.list_of(5)),
        surface=reach.list_of(1),
    ),
)


def _either(first: Truth, second: Truth) -> Truth:
    def spans(text: str) -> list[Span]:
        return sorted({*first(text), *second(text)})

    return spans


def _mixture(first: Concept, second: Concept) -> Concept:
    """Fires where either of two unrelated features does; each brings half of the plants."""
    assert first.surface is not None
    assert second.surface is not None
    either = (f"{first.right.text}; and on {second.right.text}", _either(first.right.spans, second.right.spans))
    plants = (*first.plants * len(second.plants), *second.plants * len(first.plants))
    return concept(
        f"{first.name}_or_{second.name}",
        "mixture",
        either,
        *plants,
        narrower=(first.right.text, first.right.spans),
        surface=_either(first.surface, second.surface),
    )


_BY_NAME = {one.name: one for one in (*_MEANING, *_LONG_RANGE, *_GRADED)}
_MIXTURES = tuple(
    _mixture(_BY_NAME[first], _BY_NAME[second])
    for first, second in (
        ("country", "odd_count"),
        ("month", "sum"),
        ("language", "second_mention"),
        ("currency", "dates_apart"),
    )
)

HARD: tuple[Concept, ...] = (*_CODE, *_MEANING, *_LONG_RANGE, *_GRADED, *_MIXTURES)
