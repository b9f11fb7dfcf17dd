"""Errors of unknown keywords, with the one that was meant."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from rain.common.suggestions.nearest import hint

P = ParamSpec("P")
R = TypeVar("R")

_UNEXPECTED = re.compile(r"^([\w.<>]+)\(\) got an unexpected keyword argument '(\w+)'")


def parameters_of(function: Any) -> list[str]:
    """Names that can be given to `function` as keywords."""
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return [name for name, parameter in inspect.signature(function).parameters.items() if parameter.kind in kinds]


def with_hint(error: TypeError, function: Any, name: str = "") -> TypeError:
    """`error`, which a call of `function` raised; if that was for an unknown keyword, with the name that was meant.

    Where the function is part of something else for users, `name` is what they have called.
    """
    found = _UNEXPECTED.search(str(error))
    known = [known for known in parameters_of(function) if known != "self"]
    if found is None or found[2] in known:
        return error
    meant = hint(found[2], known) or f" (it takes {', '.join(known)})"
    return TypeError(f"{name or found[1]}() got an unexpected keyword argument {found[2]!r}{meant}")


def suggesting(function: Callable[P, R]) -> Callable[P, R]:
    """`function`; for a keyword that it does not have its error names the one that was meant."""

    @functools.wraps(function)
    def called(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except TypeError as error:
            name = ""
            if function.__name__ == "__init__" and args:
                name = getattr(args[0], "CALLED", type(args[0]).__name__)
            better = with_hint(error, function, name) if kwargs else error
            if better is error:
                raise
            raise better from None

    return called
