"""Which changes of a function's code count, and when two definitions are the same function."""

from __future__ import annotations

from typing import Any

import pytest

from rain.client.remote import remote
from rain.client.stale.fingerprint import Place, comparable, fingerprint, same_function

CELL = """
DEPTH = 3
step = 1

def helper(x):
    return x + 1

class Model:
    size = 2
    def grow(self):
        return self.size

def fit(ctx, x, rate=0.5, *, mode="a"):
    "Fits."
    model = Model()
    return [helper(y) * DEPTH * step for y in range(x)], model.grow(), lambda: helper(rate)
"""


def defined(source: str, above: int = 0, **names: Any) -> Any:
    """`fit` as a cell defines it that stands so many lines lower."""
    home: dict[str, Any] = {"__name__": "__main__", **names}
    exec(compile("\n" * above + source, f"<cell {above}>", "exec"), home)
    return home["fit"]


def code_of(function: Any) -> str:
    return fingerprint(function, "python")


def test_an_unchanged_cell_that_is_run_again_is_the_same() -> None:
    assert code_of(defined(CELL)) == code_of(defined(CELL, above=4))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('"Fits."', '"Fits well."'),
        ("    return x + 1", "    # one more\n\n    return (x + 1)"),
        ("def fit(ctx, x, rate=0.5", "def fit(ctx, x: int, rate: float = 0.5"),
        ("step = 1", "step = 2"),  # what a loop may have left there
        ("class Model:", "class Model:\n    'A model.'"),
    ],
)
def test_what_does_not_count(before: str, after: str) -> None:
    assert before in CELL
    assert code_of(defined(CELL)) == code_of(defined(CELL.replace(before, after)))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("return x + 1", "return x + 2"),  # of a helper
        ("return x + 1", "return x - 1"),
        ("rate=0.5", "rate=0.25"),
        ('mode="a"', 'mode="b"'),
        ("DEPTH = 3", "DEPTH = 4"),
        ("size = 2", "size = 3"),
        ("return self.size", "return self.size + 1"),
        ("lambda: helper(rate)", "lambda: helper(-rate)"),
        ("helper(y) * DEPTH", "Model().grow() * DEPTH"),
    ],
)
def test_what_counts(before: str, after: str) -> None:
    assert before in CELL
    assert code_of(defined(CELL)) != code_of(defined(CELL.replace(before, after)))


def test_a_helper_of_another_cell_counts() -> None:
    source = "def fit(ctx):\n    return helper()\n"
    one, same, other = (defined(f"def fit(ctx=None):\n    return {n}\n") for n in (1, 1, 2))
    assert code_of(defined(source, helper=one)) == code_of(defined(source, helper=same))
    assert code_of(defined(source, helper=one)) != code_of(defined(source, helper=other))
    assert code_of(defined(source, helper=remote(one))) != code_of(defined(source, helper=remote(other)))


def test_functions_may_name_each_other_and_odd_things() -> None:
    class Odd:
        def __getattr__(self, name: str) -> Any:
            raise RuntimeError(name)

    source = "def fit(ctx):\n    return other(), odd, missing\ndef other():\n    return fit(None)\n"
    assert code_of(defined(source, odd=Odd())) == code_of(defined(source, above=1, odd=Odd()))


def test_a_set_among_the_constants_has_no_order() -> None:
    def code(values: str) -> str:
        return code_of(defined(f"def fit(ctx, x):\n    return x in {{{values}}}\n"))

    assert code("'a', 'b', 'c'") == code("'c', 'b', 'a'") != code("'a', 'b'")


def test_true_is_not_one() -> None:
    assert code_of(defined("def fit(ctx):\n    return 1\n")) != code_of(defined("def fit(ctx):\n    return True\n"))


def test_the_same_function_is_what_a_name_means_in_its_notebook() -> None:
    fit = Place("__main__:fit", "n.ipynb", "a")
    assert same_function(fit, fit)
    assert same_function(fit._replace(cell=""), fit)
    assert same_function(fit._replace(cell="b"), fit), "another cell of this notebook"
    assert same_function(fit._replace(notebook="old name.ipynb"), fit), "cells keep their ids"
    assert not same_function(fit._replace(notebook="other.ipynb", cell="b"), fit)
    assert not same_function(fit._replace(notebook="", cell="b"), fit)
    assert not same_function(fit._replace(path="__main__:fit2"), fit)
    assert same_function(Place("lib:fit", "other.ipynb", "b"), Place("lib:fit", "n.ipynb", "a")), "modules are files"


def test_bytecode_of_other_interpreters_is_not_compared() -> None:
    function = defined(CELL)
    assert comparable(fingerprint(function, "a"), fingerprint(function, "a"))
    assert not comparable(fingerprint(function, "a"), fingerprint(function, "b"))
