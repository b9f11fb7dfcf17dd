"""The failure of a task as an exception that is also of the class that its function raised."""

from __future__ import annotations

import functools
from types import GetSetDescriptorType, MemberDescriptorType
from typing import Any

from rain.common.errors import TaskException
from rain.objects.pickling.callables import builtin_base

_NOT_CAUGHT = (StopIteration, StopAsyncIteration)
"""Of these none is made: the interpreter gives them a meaning of their own wherever they are raised."""


def as_raised(failure: TaskException) -> TaskException:
    """`failure`, as an instance of the class of its cause too, where Python can make such a one.

    So ``except ZeroDivisionError`` catches it as well as ``except TaskException``; its text is that of the failure, and
    the attributes are those of the cause.
    """
    cause = failure.__cause__
    if not isinstance(cause, Exception) or isinstance(cause, (TaskException, *_NOT_CAUGHT)):
        return failure
    classes: tuple[Any, Any] = type(failure), type(cause)
    kind = _both(*classes)
    if kind is None:
        return failure
    builtin = builtin_base(type(cause))
    try:
        raised: TaskException = builtin.__new__(kind, *cause.args)
    except Exception:  # its `args` are not those that its base takes
        return failure
    for name, value in _attributes(cause):
        try:
            setattr(raised, name, value)
        except Exception:  # a property that cannot be set
            continue
    raised.args, raised.task, raised.attempts = failure.args, failure.task, failure.attempts
    raised.__cause__ = cause
    return raised


@functools.lru_cache(maxsize=256)
def _both(failure: Any, cause: Any) -> type[TaskException] | None:
    """A class of both, for these two."""

    def reduced(self: TaskException) -> Any:
        return failure, (str(self), None, self.attempts)

    namespace = {
        "__module__": failure.__module__,
        "__doc__": f"A `{failure.__name__}` of a task that raised a `{cause.__name__}`.",
        "__reduce__": reduced,
        "__str__": Exception.__str__,
        "__repr__": Exception.__repr__,
    }
    try:
        return type(f"{failure.__name__}({cause.__name__})", (failure, cause), namespace)
    except TypeError:  # their layouts, or metaclasses, contradict each other
        return None


def _attributes(cause: Exception) -> list[tuple[str, Any]]:
    """What `cause` knows beside its arguments: its dict, and what its classes have in slots."""
    found = dict(vars(cause)) if hasattr(cause, "__dict__") else {}
    for kind in type(cause).__mro__:
        for name, member in vars(kind).items():
            if isinstance(member, MemberDescriptorType | GetSetDescriptorType) and not name.startswith("__"):
                try:
                    found.setdefault(name, member.__get__(cause, type(cause)))
                except AttributeError:
                    continue
    found.pop("args", None)
    return list(found.items())
