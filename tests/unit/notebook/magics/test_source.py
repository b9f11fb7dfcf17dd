"""Cells as source that Python can parse."""

from __future__ import annotations

import ast
import asyncio
import inspect
import linecache
from typing import Any

import pytest

from rain.notebook.magics.cell_source import Cell, compile_body, indented, is_remote


def define(line: str, body: str, skipped: int = 0) -> Any:
    """The function whose body is the cell."""
    cell = Cell(line, body, skipped, f"<{line}>")
    source, code = compile_body(cell)
    assert source.count("\n") == cell.text.count("\n")
    linecache.cache[cell.filename] = (len(source), None, source.splitlines(keepends=True), cell.filename)
    names: dict[str, Any] = {}
    exec(code, names)
    return names[cell.line.name]


def test_strings_keep_their_content() -> None:
    body = "a = '''x\n  y\n'''\nb = (1,\n2)\nc = 'p\\\nq'\nd = f'''{a}\n{\nb}\n'''\n# end"
    assert indented(body) == (
        "    a = '''x\n  y\n'''\n    b = (1,\n    2)\n    c = 'p\\\nq'\n    d = f'''{a}\n{\nb}\n'''\n    # end"
    )
    function = define("f() -> a, b, c, d", body)
    assert function(None) == ("x\n  y\n", (1, 2), "pq", "x\n  y\n\n(1, 2)\n")


def test_outputs_are_the_variables_at_the_end() -> None:
    assert define("one(x) -> y", "y = x\ny += 1")(None, 1) == 2
    assert define("two(x) -> x, y", "y = 0\nfor y in range(3): pass")(None, 1) == (1, 2)
    assert define("none(x)", "y = x")(None, 1) is None
    assert define("same(x) -> x", "")(None, 5) == 5
    assert define("closed(x) -> y", "y = 1\nf = lambda: y")(None, 5) == 1
    assert define("walrus(x) -> y", "if (y := x): pass")(None, 5) == 5
    assert define("inside(x) -> y", "z = [y := a for a in x]")(None, [4, 5]) == 5
    assert define("both(x) -> y", "y = {y: a for y in x for a in [y]}")(None, [4, 5]) == {4: 4, 5: 5}


def test_missing_outputs_are_named() -> None:
    function = define("maybe(x) -> a, b, c", "a = 1\nif x:\n  b = c = 2\nelse:\n  def g(): return c")
    assert function(None, True) == (1, 2, 2)
    with pytest.raises(NameError, match="the body of maybe has not assigned its output 'b', 'c'"):
        function(None, False)


NEVER_ASSIGNED = [
    "c = a",
    "def b2(): b = 1",
    "class c: b = 1",
    "lambda b: b",
    "global b\nb = 1",
    "[b for b in a]",
    "{b for b in a}",
    "{b: b for b in a}",
    "{c: b for c in a for b in c}",
    "any(b for b in a)",
    "[[b for b in c] for c in a]",
    "c = [b async for b in a]",
    "if a:\n  c = [b for b, _ in a if b]",
]


@pytest.mark.parametrize("body", NEVER_ASSIGNED)
def test_outputs_that_are_never_assigned(body: str) -> None:
    with pytest.raises(SyntaxError, match="output 'b' is never assigned"):
        define("f(a) -> b", body)


def test_await_makes_it_async() -> None:
    function = define("f(x) -> y", "import asyncio\nawait asyncio.sleep(0)\ny = x")
    assert inspect.iscoroutinefunction(function)
    assert asyncio.run(function(None, 3)) == 3
    function = define("f(x) -> y", "async def g():\n    await x\ny = g")
    assert not inspect.iscoroutinefunction(function)
    function = define("f(x) -> y", "y = [a async for a in x]")
    assert inspect.iscoroutinefunction(function)


def test_source_and_lines() -> None:
    function = define("f(x, *more, key=1) -> y", "\ny = 1\n\ny = 2", skipped=2)
    assert inspect.getsource(function) == "def f(ctx, x, *more, key=1):\n\n    y = 1\n\n    y = 2"
    assert function.__code__.co_firstlineno == 3


@pytest.mark.parametrize(
    ("body", "line", "offset", "text"),
    [
        ("b = 1\nb = = 2", 3, 5, "invalid syntax"),
        ("b = 1\n  c = 2", 3, None, "unexpected indent"),
        ("if a:\nb = 2", 3, 1, "expected an indented block"),
        ("b = 1\nif b:\n    return b", 4, 5, "'return' in the body of a %%rain_remote cell: assign the outputs (b)"),
        ("b = yield", 2, 5, "'yield' in the body"),
        ("b = '''", 2, 5, "unterminated triple-quoted string"),
        ("b = (", 2, 5, "'(' was never closed"),
        ("b = 1\nbreak", 3, 1, "'break' outside loop"),
        ("!ls", 2, 1, "invalid syntax"),
    ],
)  # fmt: skip
def test_errors_are_where_they_are_in_the_cell(body: str, line: int, offset: int | None, text: str) -> None:
    with pytest.raises(SyntaxError) as caught:
        define("f(a) -> b", body)
    error = caught.value
    assert text in str(error.msg)
    assert error.lineno == line
    assert error.text == f"%%rain_remote f(a) -> b\n{body}".split("\n")[line - 1] + "\n"
    assert offset is None or error.offset == offset


def test_errors_below_empty_lines() -> None:
    with pytest.raises(SyntaxError) as caught:
        define("f(a) -> b", "b = = 1", skipped=3)
    assert caught.value.lineno == 5


def test_which_functions_become_remote() -> None:
    sources = {
        "def f(ctx): pass": True,
        "async def f(ctx, x): pass": True,
        "def f(ctx, /, x): pass": True,
        "def f(c: Context): pass": True,
        "def f(c: rain.Context): pass": True,
        "def f(c: 'rain.Context'): pass": True,
        "def f(x, ctx): pass": False,
        "def f(*, ctx): pass": False,
        "def f(c: int): pass": False,
        "def f(c: 3): pass": False,
        "def f(): pass": False,
        "class ctx: pass": False,
    }
    assert {source: is_remote(ast.parse(source).body[0]) for source in sources} == sources
