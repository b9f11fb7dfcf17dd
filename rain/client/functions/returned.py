"""Which values a function returns, as far as its code tells without being run."""

from __future__ import annotations

import dis
import inspect
from collections.abc import Iterator, Sequence
from functools import lru_cache
from types import CodeType
from typing import Any

from rain.common.errors import RainException
from rain.common.states import DataType

_PREVIOUS = frozenset({"LOAD_CONST", "LOAD_SMALL_INT"})
_BUILDS = {
    "BUILD_LIST": "list",
    "LIST_EXTEND": "list",
    "BUILD_TUPLE": "tuple",
    "BUILD_SET": "set",
    "SET_UPDATE": "set",
    "BUILD_MAP": "dict",
    "BUILD_CONST_KEY_MAP": "dict",
    "DICT_UPDATE": "dict",
}
"""Instructions that leave a new value of that type."""
_SKIPPED = frozenset({"EXTENDED_ARG", "CACHE", "NOP"})
_NOT_CALLED = inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR


def check_returned(function: Any, name: str, outputs: Sequence[Any]) -> None:
    """Check that the only output of a remote function, for which no encoding is declared, can hold what it returns, as
    far as its code tells.

    Raises
    ------
    RainException
    """
    if len(outputs) == 1 and outputs[0].data_type is DataType.BLOB:
        found = refused(function)
        if found:
            raise RainException(
                f"remote function {name} returns {found}, but declares no encoding, so that it may return bytes, str "
                f'or a DataInstance: declare one, as in @remote(auto_encode="json") or auto_encode="pickle", or use '
                f"@rain.task, whose functions return any value"
            )


def refused(function: Any) -> str:
    """A value that `function` returns and that needs an encoding, as ``"5, in line 3"``; empty if none is known.

    Examples
    --------
    >>> refused(lambda ctx: 5).partition(",")[0], refused(lambda ctx: b"5")
    ('5', '')
    """
    code = getattr(function, "__code__", None)
    return _refused(code) if isinstance(code, CodeType) else ""


@lru_cache(maxsize=1024)
def _refused(code: CodeType) -> str:
    if code.co_flags & _NOT_CALLED:
        return ""
    for what, line in _returned(code):
        return f"{what}, in line {line}" if line else what
    return ""


def _returned(code: CodeType) -> Iterator[tuple[str, int | None]]:
    before = None
    for step in dis.get_instructions(code):
        if step.opname in _SKIPPED:
            continue
        found: Any = None
        if step.opname == "RETURN_CONST":
            found = _constant(step.argval)
        elif step.opname == "RETURN_VALUE" and before is not None:
            if before.opname in _PREVIOUS:
                found = _constant(before.argval)
            elif before.opname in _BUILDS:
                found = f"a {_BUILDS[before.opname]}"
        if found:
            yield found, step.positions.lineno if step.positions is not None else None
        before = step


def _constant(value: Any) -> str:
    """A constant for messages; empty if it can be stored as it is, or may be what a function returns at its end."""
    return "" if value is None or isinstance(value, str | bytes) else repr(value)[:80]
