"""When a function must be pickled again."""

from __future__ import annotations

import math
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import pytest

from rain.client.functions.function_snapshot import examine, global_names, is_users


def fresh(source: str, **names: Any) -> tuple[Callable[..., Any], dict[str, Any]]:
    """The function `f` of a module that cannot be imported, and its globals."""
    space: dict[str, Any] = {"__name__": "__main__", **names}
    exec(source, space)
    return space["f"], space


def test_global_names() -> None:
    def f() -> Any:
        def inner() -> Any:
            return math.pi, re

        return inner, os.path

    assert global_names(f.__code__) == {"math", "re", "os"}


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("def f(ctx): return 1", {}),
        ("def f(ctx, a=1, *, b=(2, 'x')): return a", {}),
        ("def f(ctx): return k + math.pi", {"k": 7, "math": math}),
        ("def f(ctx): return len(sqrt(k))", {"k": (1, frozenset("a")), "sqrt": math.sqrt}),
        ("def g(): return 1\ndef f(ctx): return g()", {}),
        ("def f(ctx): return f", {}),
        ("def f(ctx): return pattern, P", {"pattern": re.compile("a"), "P": Path("/a")}),
    ],
)
def test_immutable_surroundings_are_compared(source: str, names: dict[str, Any]) -> None:
    function, _ = fresh(source, **names)
    found = examine(function)
    assert found.fixed
    assert found.unchanged()


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("def f(ctx): return k", {"k": []}),
        ("def f(ctx, a=[]): return a", {}),
        ("def f(ctx, *, a={}): return a", {}),
        ("class K: pass\ndef f(ctx): return K", {}),
        ("def g(): return k\ndef f(ctx): return g()", {"k": {}}),
        ("def f(ctx): return k", {"k": ("a", [1])}),
        ("def f(ctx): return k", {"k": ModuleType("unknown")}),
        ("def f(ctx): return k()", {"k": [].append}),
    ],
)
def test_mutable_surroundings_mean_pickling_again(source: str, names: dict[str, Any]) -> None:
    function, _ = fresh(source, **names)
    assert not examine(function).unchanged()


@pytest.mark.parametrize(
    ("change", "value"),
    [("k", 8), ("g", lambda: 2), ("len", max), ("math", re)],
)
def test_changed_globals_are_seen(change: str, value: Any) -> None:
    function, space = fresh("def g(): return 1\ndef f(ctx): return k, g(), len, math", k=7, math=math)
    found = examine(function)
    assert found.unchanged()
    space[change] = value
    assert not found.unchanged()


def test_changed_functions_are_seen() -> None:
    def other(ctx: Any) -> int:
        return 2

    for attribute, value in (
        ("__code__", other.__code__),
        ("__defaults__", (1,)),
        ("__kwdefaults__", {"a": 1}),
    ):
        function, _ = fresh("def f(ctx): return 1")
        found = examine(function)
        setattr(function, attribute, value)
        assert not found.unchanged()
    function, _ = fresh("def f(ctx): return 1")
    found = examine(function)
    function.extra = 1  # type: ignore[attr-defined]
    assert not found.unchanged()
    function, _ = fresh("def g(): return 1\ndef f(ctx): return g()")
    found = examine(function)
    function.__globals__["g"].__code__ = (lambda: 2).__code__  # type: ignore[attr-defined]
    assert not found.unchanged()


def test_changed_closures_are_seen() -> None:
    value = 1

    def function(ctx: Any) -> int:
        return value

    found = examine(function)
    assert found.unchanged()
    value = 2
    assert not found.unchanged()


def test_the_walk_ends_in_circles() -> None:
    function, _ = fresh("def g(): return f\ndef f(ctx): return g()")
    assert examine(function).unchanged()


def test_users_modules_are_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "deep_helper.py").write_text("def deep(): return 1\n")
    (tmp_path / "some_helper.py").write_text("import json\nimport deep_helper\ndef help(): return 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    import some_helper  # type: ignore[import-not-found]

    try:
        function, _ = fresh("def f(ctx): return help(), json", help=some_helper.help, json=__import__("json"))
        found = examine(function)
        assert set(found.modules) == {"some_helper", "deep_helper"}
        assert found.unchanged()
        path = tmp_path / "deep_helper.py"
        os.utime(path, ns=(1, 1))
        assert not found.unchanged()
    finally:
        for name in ("some_helper", "deep_helper"):
            sys.modules.pop(name, None)
    assert not is_users("json")
    assert not is_users("rain.client")
    assert not is_users("pytest")


def test_codes_of_all_that_travels_by_value() -> None:
    function, _ = fresh("class K:\n  def m(self): pass\ndef g(): pass\ndef f(ctx): return g, K")
    names = {code.co_name for code in examine(function).codes}
    assert names == {"f", "g", "m"}
    assert isinstance(function, FunctionType)
