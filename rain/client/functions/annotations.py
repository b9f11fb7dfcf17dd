"""Annotations of functions, including those that name a type which does not exist at run time.

From Python 3.14 on an annotation is evaluated when it is read, so that a function may have annotations which name a
type that only type checkers import. Reading them then raises a `NameError`, unless another form is asked for.
"""

from __future__ import annotations

import inspect
import sys
import typing
from types import FunctionType
from typing import Any

from rain.client.io_spec import OutputBase
from rain.objects.pickling.callables import by_reference

if sys.version_info >= (3, 14):
    import annotationlib

LAZY = sys.version_info >= (3, 14)
"""Whether annotations are evaluated when they are read."""


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
    """`inspect.signature`, with annotations as `annotations_of` gives them."""
    if sys.version_info >= (3, 14):
        return inspect.signature(function, annotation_format=annotationlib.Format.FORWARDREF)
    return inspect.signature(function)


def settled(function: FunctionType) -> FunctionType:
    """`function`; if its annotations cannot be evaluated, a copy to be pickled, whose annotations are text."""
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
    """A subclass of cloudpickle's `pickler` that also pickles functions whose annotations cannot be evaluated."""
    if not LAZY:
        return pickler

    class Settling(pickler):  # type: ignore[misc]
        def reducer_override(self, obj: Any) -> Any:
            if type(obj) is FunctionType and not by_reference(obj):
                obj = settled(obj)
            return super().reducer_override(obj)

    return Settling


def evaluated(function: Any) -> dict[str, Any]:
    """The annotations that may declare inputs or outputs; those that are text (``from __future__ import annotations``)
    evaluated."""
    found: dict[str, Any] = {}
    names = dict(getattr(function, "__globals__", {}))
    code = getattr(function, "__code__", None)
    for variable, cell in zip(
        code.co_freevars if code else (), getattr(function, "__closure__", None) or (), strict=False
    ):
        try:
            names[variable] = cell.cell_contents
        except ValueError:
            continue
    for name, annotation in annotations_of(function).items():
        if isinstance(annotation, str):
            if "put" not in annotation:
                continue
            try:
                annotation = eval(annotation, names)
            except Exception:  # it names a type that only type checkers import
                continue
        found[name] = annotation
    return found


def declared_by(annotation: Any, kind: type) -> Any:
    """The `Input` or `Output` that an annotation is or holds."""
    if isinstance(annotation, kind):
        return annotation
    if isinstance(annotation, type) and issubclass(annotation, kind):
        return annotation()
    if typing.get_origin(annotation) is typing.Annotated:
        for item in annotation.__metadata__:
            found = declared_by(item, kind)
            if found is not None:
                return found
    return None


def outputs_of(annotation: Any) -> Any:
    """The outputs that a return annotation declares; None if it declares none."""
    if isinstance(annotation, int) and not isinstance(annotation, bool):
        return annotation
    if isinstance(annotation, list | tuple):
        items = [declared_by(item, OutputBase) or item for item in annotation]
        if all(isinstance(item, str | OutputBase) for item in items):
            return items
    return declared_by(annotation, OutputBase)
