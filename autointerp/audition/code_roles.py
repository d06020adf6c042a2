"""Roles in Python text: names, values, comments, expressions.

Every function finds spans of characters, none in text that is not ASCII or no Python by itself.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
import warnings
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import accumulate

from autointerp.audition.concept import Span, Truth

__all__ = [
    "FOR",
    "LOOPS",
    "arguments_or_members",
    "comments_after_code",
    "constants_after_equals",
    "default_values",
    "function_names",
    "is_constant",
    "names_in_f_strings",
    "parameters",
    "returns",
    "third_arguments",
]

Function = ast.FunctionDef | ast.AsyncFunctionDef
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
FOR = (ast.For, ast.AsyncFor)
LOOPS = (*FOR, ast.While)
# an f-string on one line, and a name in braces that are not doubled
_F_STRING = re.compile(r"""(?<!\w)[rR]?[fF][rR]?("[^"\\\n]*"|'[^'\\\n]*')""")
_BRACES = re.compile(r"(?<!\{)\{([A-Za-z_]\w*)(!r)?\}(?!\})")


class _Module:
    def __init__(self, text: str) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.nodes = list(ast.walk(ast.parse(text)))
        self.parents = {child: node for node in self.nodes for child in ast.iter_child_nodes(node)}
        self.text = text
        self._starts = [0, *accumulate(map(len, text.splitlines(keepends=True)))]

    def place(self, line: int, column: int) -> int:
        return self._starts[line - 1] + column

    def span(self, node: ast.AST) -> Span:
        start, end = self.place(node.lineno, node.col_offset), self.place(node.end_lineno, node.end_col_offset)  # type: ignore[attr-defined]
        return start, end

    def ancestors(self, node: ast.AST) -> Iterator[ast.AST]:
        """Nodes around it, innermost first, up to its function."""
        while (node := self.parents.get(node)) is not None:  # type: ignore[assignment]
            yield node
            if isinstance(node, _FUNCTIONS):
                return

    def comments(self) -> Iterator[tuple[int, Span, bool]]:
        """Line, span, whether code precedes it on the line."""
        for token in tokenize.generate_tokens(io.StringIO(self.text).readline):
            if token.type == tokenize.COMMENT:
                span = self.place(*token.start), self.place(*token.end)
                yield token.start[0], span, bool(token.line[: token.start[1]].strip())


@lru_cache(maxsize=256)
def _parsed(text: str) -> _Module | None:
    try:
        return _Module(text) if text.isascii() else None
    except (SyntaxError, ValueError):
        return None


def _role(find: Callable[[_Module], Iterator[Span]], sign: str = "") -> Truth:
    """Sorted spans. Only texts that contain `sign` are parsed."""

    def spans(text: str) -> list[Span]:
        module = _parsed(text) if sign in text else None
        return [] if module is None else sorted(set(find(module)))

    return spans


def function_names(is_told: Callable[[bool, Function], bool]) -> Truth:
    """Names at their def. `is_told` takes whether a function encloses it, and its node."""

    def find(module: _Module) -> Iterator[Span]:
        for node in module.nodes:
            if isinstance(node, _FUNCTIONS):
                is_inner = any(isinstance(one, _FUNCTIONS) for one in module.ancestors(node))
                start = module.text.index(node.name, module.place(node.lineno, node.col_offset) + len("def"))
                if is_told(is_inner, node):
                    yield start, start + len(node.name)

    return _role(find, "def ")


def is_constant(value: ast.expr) -> bool:
    """True, False, a number or a string."""
    # None is the commonest default, so it would give the answer away
    return isinstance(value, ast.Constant) and value.value is not None


def default_values(is_told: Callable[[ast.expr], bool]) -> Truth:

    def find(module: _Module) -> Iterator[Span]:
        for node in module.nodes:
            if isinstance(node, ast.arguments):
                values = [*node.defaults, *(value for value in node.kw_defaults if value is not None)]
                yield from (module.span(value) for value in values if is_told(value))

    return _role(find, "=")


def constants_after_equals(text: str) -> list[Span]:
    """Default values and keyword arguments, in texts where a def has parameters."""

    def find(module: _Module) -> Iterator[Span]:
        if any(isinstance(node, _FUNCTIONS) and node.args.args for node in module.nodes):
            values = [node.value for node in module.nodes if isinstance(node, ast.keyword) and node.arg]
            yield from (module.span(value) for value in values if is_constant(value))
            yield from default_values(is_constant)(text)

    return _role(find, "def ")(text)


def names_in_f_strings(*, is_parameter: bool = False, is_converted: bool = False) -> Truth:
    """Names alone in braces, or before !r (`is_converted`: only these), in texts with a parameter."""

    def find(module: _Module) -> Iterator[Span]:
        given = {node.arg for node in module.nodes if isinstance(node, ast.arg)}
        for string in _F_STRING.finditer(module.text):
            for braces in _BRACES.finditer(string[0]) if given else ():
                if (braces[1] in given or not is_parameter) and (braces[2] or not is_converted):
                    yield string.start() + braces.start(1), string.start() + braces.end(1)

    return _role(find, "{")


def third_arguments(is_told: Callable[[ast.expr], bool] = lambda value: True) -> Truth:
    """Third positional arguments of calls."""

    def find(module: _Module) -> Iterator[Span]:
        for node in module.nodes:
            if isinstance(node, ast.Call) and len(node.args) > 2 and is_told(node.args[2]):
                yield module.span(node.args[2])

    return _role(find)


def arguments_or_members(text: str) -> list[Span]:
    """The third in a call, tuple, list or parameter list."""
    module = _parsed(text)
    thirds: list[ast.AST] = []
    for node in module.nodes if module else ():
        if isinstance(node, ast.Call):
            thirds += [*node.args, *(keyword.value for keyword in node.keywords)][2:3]
        elif isinstance(node, ast.Tuple | ast.List):
            thirds += node.elts[2:3]
        elif isinstance(node, ast.arguments):
            thirds += node.args[2:3]
    return sorted({module.span(node) for node in thirds}) if module else []


def _has_loop(module: _Module) -> bool:
    return any(isinstance(node, LOOPS) for node in module.nodes)


def comments_after_code(within: tuple[type[ast.AST], ...] = ()) -> Truth:
    """In texts with a loop. `within`: only in bodies of such statements."""

    def find(module: _Module) -> Iterator[Span]:
        inside = {
            line
            for node in module.nodes
            if isinstance(node, within)
            for line in range(node.body[0].lineno, node.body[-1].end_lineno + 1)  # type: ignore[attr-defined]
        }
        for line, span, is_after in module.comments() if _has_loop(module) else ():
            if is_after and (not within or line in inside):
                yield span

    return _role(find, "#")


def returns(within: tuple[type[ast.AST], ...] = ()) -> Truth:
    """The word return, in texts with a loop; `within` likewise."""

    def find(module: _Module) -> Iterator[Span]:
        for node in module.nodes if _has_loop(module) else ():
            is_told = not within or any(isinstance(one, within) for one in module.ancestors(node))
            if isinstance(node, ast.Return) and is_told:
                start = module.span(node)[0]
                yield start, start + len("return")

    return _role(find, "return")


def parameters(most_uses: int | None = None) -> Truth:
    """`most_uses`: how often the function's body may name them."""

    def find(module: _Module) -> Iterator[Span]:
        for node in module.nodes:
            if isinstance(node, _FUNCTIONS):
                used = [n.id for part in node.body for n in ast.walk(part) if isinstance(n, ast.Name)]
                for one in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs):
                    if most_uses is None or used.count(one.arg) <= most_uses:
                        start = module.span(one)[0]
                        yield start, start + len(one.arg)

    return _role(find, "def ")
