"""What a function's code says of what it returns."""

from __future__ import annotations

from typing import Any

import pytest

from rain import Output, RainException, Session, remote
from rain.client.functions.returned import refused


def five(ctx: Any) -> Any:
    return 5


def sometimes(ctx: Any, x: Any) -> Any:
    if x:
        return {"a": x, **x}
    return b""


async def later(ctx: Any) -> Any:
    return 2.5


def yields(ctx: Any) -> Any:
    yield 1
    return 5


def nothing(ctx: Any) -> Any:
    if ctx:
        return b"" + b"a"
    return None


def computed(ctx: Any, a: Any, b: Any) -> Any:
    found = [a, b]
    return found or str(a)


@pytest.mark.parametrize(
    ("function", "what"),
    [
        (five, "5, in line "),
        (sometimes, "a dict, in line "),
        (later, "2.5, in line "),
        (lambda ctx, x: [x], "a list, in line "),
        (lambda ctx: (1, 2), "(1, 2), in line "),
        (lambda ctx, x: (x, x), "a tuple, in line "),
        (lambda ctx, x: {*x}, "a set, in line "),
        (lambda ctx: {1: 2}, "a dict, in line "),
    ],
)
def test_values_that_need_an_encoding_are_seen(function: Any, what: str) -> None:
    assert refused(function).startswith(what)


@pytest.mark.parametrize("function", [yields, nothing, computed, lambda ctx: "a", lambda ctx: b"a", len])
def test_what_may_be_right_is_let_be(function: Any) -> None:
    assert refused(function) == ""


def test_the_first_call_names_the_cure() -> None:
    with Session(None, 1).bind_only():
        for _ in range(2):
            with pytest.raises(RainException, match=r'five returns 5, in line .*auto_encode="json".*@rain\.task'):
                remote(five)()
        assert remote(five, auto_encode="json")().output.content_type == "json"
        assert remote(five)(output=Output("n", encode="pickle")).output.content_type == "pickle"


def test_a_forgotten_context_is_named() -> None:
    def doubled(x: Any) -> Any:
        return x + x

    with Session(None, 1).bind_only():
        for args, kwargs in (((1,), {}), ((), {"x": 1})):
            with pytest.raises(TypeError, match=r"first parameter, here 'x', is its context.*def doubled.ctx, x.*task"):
                remote(doubled)(*args, **kwargs)
        with pytest.raises(TypeError, match=r"too many positional arguments$"):
            remote(five)(1)
    with pytest.raises(RainException, match=r"must be the context: .*@rain\.task"):
        remote(lambda: b"")
