"""What a callable calls in the end: a function with arguments before those of the call."""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import FunctionType, MethodType
from typing import Any, NamedTuple

_NESTED_MAX = 32
_CALL = "__call__"


class Called(NamedTuple):
    """A function, the arguments that come before and beside those of each call, and the name that tasks get."""

    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    name: str


def taken_apart(target: Callable[..., Any]) -> Called:
    """Methods, partials and instances with a `__call__` as the function that they call and its first arguments.

    So the function is sent once, however many methods and partials are made of it, and what they hold travels as any
    argument does.

    Examples
    --------
    >>> import functools
    >>> taken_apart(functools.partial(pow, 2)).args
    (2,)
    """
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = {}
    name = ""
    for _ in range(_NESTED_MAX):
        if type(target) is functools.partial:
            if any(type(value).__name__ == "_PlaceholderType" for value in target.args):  # of Python 3.14
                break
            args, kwargs = (*target.args, *args), {**target.keywords, **kwargs}
            target = target.func
        elif type(target) is MethodType and type(target.__func__) is FunctionType:
            args = (target.__self__, *args)
            target = target.__func__
        elif _is_instance(target):
            name = name or type(target).__name__
            args = (target, *args)
            target = getattr(type(target), _CALL)
        else:
            break
    return Called(target, args, kwargs, name or getattr(target, "__name__", type(target).__name__))


def _is_instance(target: Any) -> bool:
    """Whether it is an instance whose class says in Python what a call does."""
    return not isinstance(target, FunctionType | type) and type(getattr(type(target), _CALL, None)) is FunctionType
