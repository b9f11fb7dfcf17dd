"""Annotations of functions, also of those that name what is not there.

From Python 3.14 on an annotation is evaluated when it is looked at, so a function may be defined whose annotations name
a type that is only there for type checkers. Whoever looks then gets a `NameError`, unless another form is asked for.
"""

from __future__ import annotations

import inspect
import sys
from types import FunctionType
from typing import Any

from rain.objects.pickling.callables import by_reference

if sys.version_info >= (3, 14):
    import annotationlib

LAZY = sys.version_info >= (3, 14)
"""Whether annotations are evaluated when they are looked at."""


def annotations_of(function: Any) -> dict[str, Any]:
    """The annotations, with a forward reference for each part that cannot be evaluated."""
    if sys.version_info >= (3, 14):
        try:
            return annotationlib.get_annotations(function, format=annotationlib.Format.FORWARDREF)
        except TypeError:  # an object with a `__call__`
            return {}
    found: dict[str, Any] = getattr(function, "__annotations__", {})
    return found


def signature_of(function: Any) -> inspect.Signature:
    """`inspect.signature`, with such annotations."""
    if sys.version_info >= (3, 14):
        return inspect.signature(function, annotation_format=annotationlib.Format.FORWARDREF)
    return inspect.signature(function)


def settled(function: FunctionType) -> FunctionType:
    """`function`, or if its annotations cannot be evaluated a copy of it that has them as text, to be pickled."""
    if sys.version_info >= (3, 14):
        try:
            function.__annotations__  # noqa: B018 (this evaluates them)
        except Exception:
            texts = annotationlib.get_annotations(function, format=annotationlib.Format.STRING)
        else:
            return function
        copy = FunctionType(
            function.__code__, function.__globals__, function.__name__, function.__defaults__, function.__closure__
        )
        copy.__dict__.update(function.__dict__)
        for name in ("__kwdefaults__", "__module__", "__qualname__", "__doc__", "__type_params__"):
            setattr(copy, name, getattr(function, name))
        copy.__annotations__ = texts
        return copy
    return function


def settling(pickler: Any) -> Any:
    """cloudpickle's `pickler`, which looks at the annotations of functions, made to pickle these functions too."""
    if not LAZY:
        return pickler

    class Settling(pickler):  # type: ignore[misc]
        def reducer_override(self, obj: Any) -> Any:
            if type(obj) is FunctionType and not by_reference(obj):
                obj = settled(obj)
            return super().reducer_override(obj)

    return Settling
