"""Pickles, by what their opcodes tell; nothing is unpickled."""

from __future__ import annotations

from typing import Any

from rain.common.errors import RainException
from rain.common.formatting import size_text
from rain.notebook.inspectors.limits import CELL_CHARS, PICKLE_GLOBALS_MAX
from rain.notebook.inspectors.pickled.pickle_machine import Items, Long, Made, Named, Opaque, PickleReport, read_report
from rain.notebook.inspectors.sanitize import cut, number_text
from rain.notebook.inspectors.subject import Allowance, PageWithBuffers, Subject
from rain.notebook.protocol.data import PicklePage
from rain.notebook.protocol.requests import Inspect

_DEPTH_MAX = 4
_ITEMS_SHOWN = 5
_ITEM_CHARS = 40
_DTYPE_KINDS = {"f": "float", "i": "int", "u": "uint", "c": "complex", "b": "bool", "M": "datetime", "m": "timedelta"}


class PickleViewer:
    """One page: a summary, how often each opcode comes, and what the pickle would import."""

    def __init__(self, subject: Subject) -> None:
        if not subject.ranges.size:
            raise RainException("this is not a pickle: it is empty")
        self._ranges = subject.ranges
        self._report: PickleReport | None = None

    def page(self, asked: Inspect) -> PageWithBuffers:
        if self._report is None:
            self._report = read_report(self._ranges, Allowance(self._ranges, True))
        report = self._report
        if not report.opcodes:
            raise RainException(report.problem)
        names = list(report.globals)
        more = [f"… {len(names) - PICKLE_GLOBALS_MAX} more"] if len(names) > PICKLE_GLOBALS_MAX else []
        return PicklePage(
            summary=[(name, cut(text)) for name, text in summary(report)],
            opcodes=report.opcodes.most_common(),
            globals=[cut(name) for name in names[:PICKLE_GLOBALS_MAX]] + more,
        ), []


def summary(report: PickleReport) -> list[tuple[str, str]]:
    """What can be said of the pickled value."""
    facts: list[tuple[str, str]] = []
    if not report.problem:
        facts += describe(report.value)
    else:
        facts.append(("note", report.problem))
    if report.protocol is not None:
        facts.append(("protocol", str(report.protocol)))
    facts.append(("opcodes", f"{report.opcodes.total():,}"))
    return facts


def describe(note: Any) -> list[tuple[str, str]]:
    """Type and size of a value, of which there is only a note."""
    if isinstance(note, Made):
        for known in (_array, _frame, _series):
            facts = known(note)
            if facts:
                return facts
        facts = [("type", type_name(note))]
        if isinstance(note.state, Items) and note.state.kind == "dict":
            keys: list[str] = [key for key in note.state.first[::2] if isinstance(key, str)]
            facts.append(("attributes", ", ".join(keys[:_ITEMS_SHOWN]) + " …" * (note.state.count > _ITEMS_SHOWN)))
        return facts
    if isinstance(note, Items):
        return [("type", note.kind), ("items", f"{note.count:,}"), ("value", shown(note))]
    if isinstance(note, Long):
        return [
            ("type", note.kind if note.kind in ("bytes", "bytearray", "int") else "str"),
            ("size", size_text(note.size)),
        ]
    return [("type", type_name(note)), ("value", shown(note))]


def type_name(note: Any) -> str:
    """The type of a value, or what it is made by."""
    if isinstance(note, Made):
        made = note.callable
        if str(made) in ("copyreg._reconstructor", "copy_reg._reconstructor", "copyreg.__newobj__"):
            made = _argument(note, 0)
        return str(made) if isinstance(made, Named) else "something made by a call"
    if isinstance(note, Items | Long):
        return note.kind
    if isinstance(note, Named):
        return "a class or function, by its name"
    return type(note).__name__ if type(note) in (int, float, str, bool, type(None)) else "something"


def shown(note: Any, depth: int = _DEPTH_MAX) -> str:
    """A value in few characters."""
    if isinstance(note, str):
        return repr(cut(note, _ITEM_CHARS))
    if isinstance(note, Items):
        if depth == 0:
            return "…"
        items = [shown(item, depth - 1) for item in note.first[: 2 * _ITEMS_SHOWN]]
        if note.kind == "dict":
            items = [": ".join(pair) for pair in zip(items[::2], items[1::2], strict=False)]
        text = ", ".join(items[:_ITEMS_SHOWN]) + ", …" * (note.count > _ITEMS_SHOWN)
        ends = {"list": "[]", "tuple": "()"}.get(note.kind, "{}")
        return cut(f"{ends[0]}{text}{ends[1]}", CELL_CHARS)
    if isinstance(note, Long):
        return f"<{note.kind}, {size_text(note.size)}>"
    if isinstance(note, Made):
        return f"<{cut(type_name(note), _ITEM_CHARS)}>"
    if isinstance(note, Named | Opaque):
        return f"<{cut(str(note) if isinstance(note, Named) else note.what, _ITEM_CHARS)}>"
    return number_text(note) if type(note) in (int, float) else repr(note) if type(note) in (bool, type(None)) else "…"


# -- numpy and pandas ------------------------------------------------------------------------------


def _argument(note: Any, number: int) -> Any:
    arguments = note.arguments if isinstance(note, Made) else note
    if isinstance(arguments, Items) and number < len(arguments.first):
        return arguments.first[number]
    return None


def _is(note: Any, package: str, *names: str) -> bool:
    named = note.callable if isinstance(note, Made) else note
    return isinstance(named, Named) and named.module.split(".")[0] == package and named.name in names


def _array_parts(note: Any) -> tuple[Any, Any] | None:
    """Notes of shape and dtype of a numpy array."""
    if _is(note, "numpy", "_frombuffer"):
        return _argument(note, 2), _argument(note, 1)
    if _is(note, "numpy", "_reconstruct") and isinstance(note.state, Items):
        return _argument(note.state, 1), _argument(note.state, 2)
    if _is(note, "numpy", "ndarray"):  # a view of a buffer
        return _argument(note, 0), _argument(note, 1)
    if isinstance(note, Made) and _is_ndarray_new(note.callable):  # the same of a subclass
        return _argument(note, 1), _argument(note, 2)
    return None


def _is_ndarray_new(called: Any) -> bool:
    """Whether it is ``numpy.ndarray.__new__``, which pickles name by ``getattr``."""
    return (
        isinstance(called, Made)
        and _is(called, "builtins", "getattr")
        and _is(_argument(called, 0), "numpy", "ndarray")
        and _argument(called, 1) == "__new__"
    )


def _shape(note: Any) -> tuple[int, ...] | None:
    if not isinstance(note, Items) or note.kind != "tuple" or note.count != len(note.first):
        return None
    return tuple(note.first) if all(type(extent) is int for extent in note.first) else None


def _dtype(note: Any) -> str:
    """The name of a dtype such as ``float64``; structured ones only as such."""
    code = _argument(note, 0) if _is(note, "numpy", "dtype") else None
    if not isinstance(code, str):
        return "unknown"
    if code[:1] == "O":
        return "object"
    if code[:1] == "V":
        return "structured or raw"
    kind = _DTYPE_KINDS.get(code[:1])
    if kind is None or not code[1:].isdigit() or len(code) > 4:
        return cut(code, _ITEM_CHARS)
    return kind if kind == "bool" else f"{kind}{8 * int(code[1:])}"


def _array(note: Made) -> list[tuple[str, str]]:
    parts = _array_parts(note)
    shape = _shape(parts[0]) if parts is not None else None
    if parts is None or shape is None:
        return []
    extent = " x ".join(number_text(size) for size in shape) or "a single value"
    return [("type", "numpy.ndarray"), ("shape", extent), ("dtype", _dtype(parts[1]))]


def _length(index: Any) -> int | None:
    """The number of labels of a pandas index."""
    if not _is(index, "pandas", "_new_Index", "_new_DatetimeIndex", "_new_PeriodIndex"):
        return None
    details = _argument(index, 1)
    if not isinstance(details, Items):
        return None
    if _is(_argument(index, 0), "pandas", "RangeIndex"):
        bounds = [details.get(name) for name in ("start", "stop", "step")]
        if all(type(bound) is int for bound in bounds) and bounds[2]:
            return len_of_range(*bounds)
        return None
    return _values_length(details.get("data"))


def len_of_range(start: int, stop: int, step: int) -> int:
    """As ``len(range(…))``, for numbers of any size.

    Examples
    --------
    >>> len_of_range(0, 10, 3), len_of_range(5, 0, 1)
    (4, 0)
    """
    return max(0, (stop - start + step - (1 if step > 0 else -1)) // step)


def _values_length(data: Any, depth: int = _DEPTH_MAX) -> int | None:
    """The length of an array, or of the array that an extension array is made of."""
    parts = _array_parts(data)
    if parts is not None:
        shape = _shape(parts[0])
        return shape[-1] if shape else None
    if _is(data, "pyarrow", "_restore_array"):
        length = _argument(_argument(data, 0), 1)
        return length if type(length) is int else None
    if depth and isinstance(data, Made):
        inner = [data.arguments, data.state]
        for held in inner:
            for item in held.first if isinstance(held, Items) else []:
                length = _values_length(item, depth - 1)
                if length is not None:
                    return length
    return None


def _manager(note: Made) -> Items | None:
    """The axes of a data frame or series, columns first."""
    state = note.state if isinstance(note.state, Items) else None
    manager = state.get("_mgr") if state is not None else None
    if not isinstance(manager, Made):
        return None
    for axes in (_argument(manager, 1), _argument(manager.state, 0)):
        if isinstance(axes, Items) and axes.first and _is(axes.first[0], "pandas", "_new_Index", "_new_DatetimeIndex"):
            return axes
    return None


def _frame(note: Made) -> list[tuple[str, str]]:
    if not _is(note, "pandas", "DataFrame"):
        return []
    axes = _manager(note)
    facts = [("type", "pandas.DataFrame")]
    if axes is not None and len(axes.first) == 2:
        columns, rows = map(_length, axes.first)
        facts += [(name, f"{size:,}") for name, size in (("rows", rows), ("columns", columns)) if size is not None]
    return facts


def _series(note: Made) -> list[tuple[str, str]]:
    if not _is(note, "pandas", "Series"):
        return []
    axes = _manager(note)
    rows = _length(axes.first[0]) if axes is not None else None
    return [("type", "pandas.Series")] + ([("rows", f"{rows:,}")] if rows is not None else [])
