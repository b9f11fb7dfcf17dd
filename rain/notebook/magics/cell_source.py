"""Cells of ``%%rain_remote`` as source that Python can parse, with the cell's own lines.

Theory of operation
-------------------
The line of the magic becomes a ``def`` (a body), or a comment (functions); all other lines stay where they are, so line
numbers, `inspect.getsource` and tracebacks agree with what the notebook shows. What a body needs beyond its own lines,
namely returning its outputs, is added to the syntax tree and has no line.
"""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Iterator
from types import CodeType
from typing import Any

from rain.notebook.magics.remote_line_parser import RemoteLine, parse_line

MAGIC = "%%rain_remote"
INDENT = "    "

_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)


class Cell:
    """A cell as it is written, and what its line says.

    Parameters
    ----------
    line : str
        What follows the magic's name.
    body : str
        All other lines.
    skipped : int
        Empty lines above the magic.
    filename : str

    Raises
    ------
    RainException, SyntaxError
        If the line is wrong.
    """

    def __init__(self, line: str, body: str, skipped: int = 0, filename: str = "<rain_remote>") -> None:
        self.filename = filename
        self.skipped = skipped
        self.head = f"{MAGIC} {line}".rstrip()
        self.body = body
        self.lines = [*[""] * skipped, self.head, *body.split("\n")]
        self.line = RemoteLine()
        try:
            self.line = parse_line(line.rstrip())
        except SyntaxError as error:
            raise self.error(str(error.msg), skipped + 1, len(MAGIC) + 1 + (error.offset or 1)) from None

    @property
    def text(self) -> str:
        """The cell as it is written."""
        return "\n".join(self.lines)

    def error(self, text: str, number: int, offset: int | None = None) -> SyntaxError:
        """A syntax error in line `number` of the cell; `offset` counts from 1."""
        line = self.lines[number - 1] if 0 < number <= len(self.lines) else ""
        return SyntaxError(text, (self.filename, number, offset, line + "\n"))

    def moved(self, error: SyntaxError) -> SyntaxError:
        """`error`, which the parser found in the source of the body, as one in the cell itself."""
        number, offset = error.lineno, error.offset
        if number is None or not 0 < number <= len(self.lines):
            number, offset = len(self.lines), None
        elif number == self.skipped + 1:
            offset = None
        elif offset is not None:
            offset = max(1, offset - len(INDENT))
        found = self.error(str(error.msg), number, offset)
        return IndentationError(*found.args) if isinstance(error, IndentationError) else found


def indented(body: str) -> str:
    """`body` with each line indented, except for those that begin inside a string.

    Examples
    --------
    >>> print(indented("if x:\\n  y = '''a\\nb'''"))
        if x:
          y = '''a
    b'''
    """
    inside = _inside_strings(body)
    lines = body.split("\n")
    return "\n".join(
        INDENT + line if line.strip() and number not in inside else line for number, line in enumerate(lines, 1)
    )


def _inside_strings(body: str) -> set[int]:
    """Numbers of lines that begin inside a string."""
    inside: set[int] = set()
    open_at: list[int] = []
    try:
        for token in tokenize.generate_tokens(io.StringIO(body).readline):
            kind = tokenize.tok_name[token.type]
            if kind == "STRING":
                inside.update(range(token.start[0] + 1, token.end[0] + 1))
            elif kind.endswith("STRING_START"):  # of an f-string, from Python 3.12 on
                open_at.append(token.start[0])
            elif kind.endswith("STRING_END"):
                inside.update(range(open_at.pop() + 1, token.end[0] + 1))
    except (tokenize.TokenError, SyntaxError):  # the parser will say it better
        pass
    return inside


# -- a body ------------------------------------------------------------------------------------------


def body_source(cell: Cell, asynchronous: bool = False) -> str:
    """The source of the function whose body the cell is; as many lines as the cell."""
    line = cell.line
    parameters = ", ".join(["ctx", *[parameter.source for parameter in line.parameters]])
    head = f"{'async ' * asynchronous}def {line.name}({parameters}):"
    if all(text.strip() == "" or text.lstrip().startswith("#") for text in cell.body.split("\n")):
        head += " pass"
    return "\n" * cell.skipped + head + "\n" + indented(cell.body)


def compile_body(cell: Cell, flags: int = 0) -> tuple[str, CodeType]:
    """The source of the body as a function, and the code that defines it.

    Raises
    ------
    SyntaxError
        If the body cannot be parsed, returns, or never assigns an output; with the cell's own line.
    """
    source = body_source(cell)
    tree = _parsed(cell, source, flags)
    function: Any = tree.body[0]
    if len(tree.body) > 1:
        raise cell.error("the body must not end before the cell does", tree.body[1].lineno)
    if any(_is_await(node) for node in _own(function)):
        source = body_source(cell, asynchronous=True)
        tree = _parsed(cell, source, flags)
        function = tree.body[0]
    _check_body(cell, function)
    function.body += _ending(cell, len(source.split("\n")[cell.skipped]))
    try:
        code = compile(tree, cell.filename, "exec", flags, dont_inherit=True)
    except SyntaxError as error:
        raise cell.moved(error) from None
    _check_outputs(cell, tree, flags)
    return source, code


def _parsed(cell: Cell, source: str, flags: int) -> ast.Module:
    try:
        tree = compile(source + "\n", cell.filename, "exec", flags | ast.PyCF_ONLY_AST, dont_inherit=True)
    except SyntaxError as error:
        raise cell.moved(error) from None
    assert isinstance(tree, ast.Module)
    return tree


def _own(node: ast.AST) -> Iterator[ast.AST]:
    """All that is inside `node`, but not in functions and classes inside it."""
    for child in ast.iter_child_nodes(node):
        yield child
        if not isinstance(child, _SCOPES):
            yield from _own(child)


def _is_await(node: ast.AST) -> bool:
    return isinstance(node, ast.Await | ast.AsyncFor | ast.AsyncWith) or (
        isinstance(node, ast.comprehension) and bool(node.is_async)
    )


def _check_body(cell: Cell, function: ast.AST) -> None:
    outputs = ", ".join(item.name for item in cell.line.outputs or ())
    for node in _own(function):
        if isinstance(node, ast.Return | ast.Yield | ast.YieldFrom):
            word = "return" if isinstance(node, ast.Return) else "yield"
            hint = f"assign the outputs ({outputs})" if outputs else "name outputs after -> and assign them"
            offset = node.col_offset - len(INDENT) + 1
            raise cell.error(f"'{word}' in the body of a {MAGIC} cell: {hint} instead", node.lineno, max(1, offset))


def _ending(cell: Cell, width: int) -> list[ast.stmt]:
    """Statements that return the outputs; they seem to be in the first line, all `width` characters of it."""
    outputs = cell.line.outputs
    if not outputs:
        return []
    names = [item.name for item in outputs]
    text = (
        f"try:\n return {', '.join(names)}\n"
        "except NameError:\n"
        f" raise NameError('the body of {cell.line.name} has not assigned its output '"
        f" + ', '.join(map(repr, sorted({set(names)} - locals().keys())))) from None\n"
    )
    statements = ast.parse(text).body
    for statement in statements:
        for node in ast.walk(statement):
            if hasattr(node, "lineno"):
                place: Any = node
                place.lineno = place.end_lineno = cell.skipped + 1
                place.col_offset, place.end_col_offset = 0, width
    return statements


def _check_outputs(cell: Cell, tree: ast.Module, flags: int) -> None:
    """Whether each output is a variable of the body, so that no variable of the notebook is taken for it; changes
    `tree`, which has been compiled."""
    if not cell.line.outputs:
        return
    separated = ast.fix_missing_locations(_Separated().visit(tree))
    code = compile(separated, cell.filename, "exec", flags, dont_inherit=True)
    function = next(item for item in code.co_consts if isinstance(item, CodeType) and item.co_name == cell.line.name)
    for output in cell.line.outputs:
        if output.name not in function.co_varnames + function.co_cellvars:
            raise cell.error(
                f"output {output.name!r} is never assigned in the body",
                cell.skipped + 1,
                len(MAGIC) + 2 + output.column,
            )


class _Separated(ast.NodeTransformer):
    """Makes comprehensions generator expressions: these keep variables of their own, while those of the others stand
    among the function's from Python 3.12 on. Which names the function itself assigns stays the same."""

    def visit_ListComp(self, node: ast.ListComp | ast.SetComp) -> ast.AST:
        self.generic_visit(node)
        return ast.copy_location(ast.GeneratorExp(node.elt, node.generators), node)

    visit_SetComp = visit_ListComp

    def visit_DictComp(self, node: ast.DictComp) -> ast.AST:
        self.generic_visit(node)
        pair = ast.Tuple([node.key, node.value], ast.Load())
        return ast.copy_location(ast.GeneratorExp(pair, node.generators), node)


# -- functions ---------------------------------------------------------------------------------------


def functions_source(cell: Cell, body: str) -> str:
    """The source of a cell that defines functions; `body` is its code without IPython's own syntax."""
    return "\n" * cell.skipped + f"# {cell.head}\n" + body


def is_remote(node: ast.stmt) -> bool:
    """Whether `node` defines a function whose first parameter is ``ctx``, or annotated ``Context``."""
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return False
    parameters = [*node.args.posonlyargs, *node.args.args]
    if not parameters:
        return False
    first = parameters[0]
    return first.arg == "ctx" or _ends_with_context(first.annotation)


def _ends_with_context(annotation: ast.expr | None) -> bool:
    if isinstance(annotation, ast.Attribute):
        return annotation.attr == "Context"
    if isinstance(annotation, ast.Name):
        return annotation.id == "Context"
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        return annotation.value.rpartition(".")[2] == "Context"
    return False
