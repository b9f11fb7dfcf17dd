"""The table of tasks: filtered as a whole and by column, sorted, a page of it, and how long its tasks took."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from rain.common.errors import RainException
from rain.common.formatting import duration_text
from rain.notebook.drawing.text_metrics import visible
from rain.notebook.graph_model.queries import matches, pattern_of
from rain.notebook.graph_model.records import reuse_of, title
from rain.notebook.graph_model.statuses import first_line
from rain.notebook.graph_model.tree import TaskLeaf
from rain.notebook.graph_model.view import View
from rain.notebook.protocol.lookups import DurationBin, TaskRow, TaskTable
from rain.notebook.protocol.requests import ColumnId

ROWS_MAX = 1000
BINS_MAX = 24
_NEVER = float("inf")
_COMPARISON = re.compile(r"\s*(<=|>=|<|>|=)\s*(-?[\d.]+(?:e-?\d+)?)\s*(ms|s|min|h)?\s*")
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt, "<=": operator.le, "=": operator.eq, ">=": operator.ge, ">": operator.gt,
}  # fmt: skip
_UNITS = {None: 1.0, "ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0}

Test = Callable[[TaskLeaf], bool]


def _start(leaf: TaskLeaf) -> float:
    info = leaf.record.info
    if info is not None and info.start_time is not None:
        return info.start_time
    return leaf.began if leaf.began is not None else _NEVER


def _duration(leaf: TaskLeaf) -> float | None:
    return leaf.record.info.duration if leaf.record.info is not None else None


_SORTS: dict[str, Callable[[TaskLeaf], Any]] = {
    "id": lambda leaf: leaf.record.spec.id[1],
    "name": lambda leaf: title(leaf.record),
    "type": lambda leaf: leaf.record.spec.task_type,
    "state": lambda leaf: leaf.state,
    "start": _start,
    "took": lambda leaf: _duration(leaf) or 0.0,
    "governor": lambda leaf: (leaf.record.info.governor if leaf.record.info is not None else None) or "",
    "attempts": lambda leaf: leaf.record.info.attempts if leaf.record.info is not None else 0,
    "cpus": lambda leaf: leaf.record.spec.resources.get("cpus", 0),
    "error": lambda leaf: first_line(leaf.record.error.message) if leaf.record.error is not None else "",
}
"""By column: what it is sorted by, and compared with."""


def _took(leaf: TaskLeaf) -> str:
    seconds = _duration(leaf)
    return "" if seconds is None else duration_text(seconds)


def _reused(leaf: TaskLeaf) -> bool:
    return leaf.record.reuse is not None and leaf.record.reuse.hit


def _error(leaf: TaskLeaf) -> str:
    error = leaf.record.error
    return "" if error is None else visible(first_line(error.message))


_TEXTS: dict[str, Callable[[TaskLeaf], str]] = {
    "id": lambda leaf: str(leaf.record.spec.id),
    "name": lambda leaf: visible(leaf.record.spec.name or ""),
    "type": lambda leaf: visible(leaf.record.spec.task_type),
    "state": lambda leaf: leaf.state + (", reused" if _reused(leaf) else ""),
    "start": lambda leaf: "None" if (start := _start(leaf)) == _NEVER else str(start),
    "took": _took,
    "governor": lambda leaf: str(_SORTS["governor"](leaf)),
    "attempts": lambda leaf: str(_SORTS["attempts"](leaf)),
    "cpus": lambda leaf: str(_SORTS["cpus"](leaf)),
    "error": _error,
}
"""By column: what is shown, and what a filter looks into."""


def table(
    view: View,
    offset: int = 0,
    count: int = 100,
    sort: ColumnId = "id",
    descending: bool = False,
    pattern: re.Pattern[str] | None = None,
    states: Iterable[str] | None = None,
    where: Mapping[ColumnId, str] | None = None,
    durations: bool = False,
) -> TaskTable:
    """A page of the table of tasks.

    Parameters
    ----------
    view : View
    offset, count : int
        Rows of those that are let through.
    sort : str
        A column.
    descending : bool
    pattern : re.Pattern, optional
        In the name, the type, the id or the error.
    states : iterable of str, optional
    where : mapping of str to str, optional
        By column what it has to be: see `GetTable.where`.
    durations : bool
        Whether it is told how long the tasks took.

    Raises
    ------
    RainException
        If a filter of a column cannot be understood.
    """
    leaves: list[TaskLeaf] = list(view.tree.tasks.values())
    total = len(leaves)
    if states is not None:
        wanted = frozenset(states)
        leaves = [leaf for leaf in leaves if leaf.state in wanted]
    if pattern is not None:
        leaves = [leaf for leaf in leaves if matches(leaf, pattern)]
    for column, text in (where or {}).items():
        if text.strip():
            test = test_of(column, text)
            leaves = [leaf for leaf in leaves if test(leaf)]
    if sort != "id" or descending:
        leaves.sort(key=_SORTS[sort], reverse=descending)
    page = leaves[offset : offset + min(count, ROWS_MAX)]
    seconds = [took for leaf in leaves if (took := _duration(leaf)) is not None] if durations else []
    return TaskTable(total, len(leaves), [_row(leaf) for leaf in page], histogram(seconds))


def test_of(column: ColumnId, text: str) -> Test:
    """What lets a task through the filter of a column.

    Raises
    ------
    RainException
        If it is neither a comparison nor a regular expression.
    """
    value = _SORTS[column]
    comparison = _COMPARISON.fullmatch(text)
    if comparison is not None and column in ("id", "took", "attempts", "cpus"):
        compare = _COMPARE[comparison[1]]
        try:
            limit = float(comparison[2]) * _UNITS[comparison[3]]
        except ValueError:
            raise RainException(f"{comparison[2]!r} is not a number") from None
        if column == "took":
            return lambda leaf: (took := _duration(leaf)) is not None and compare(took, limit)
        return lambda leaf: compare(value(leaf), limit)
    pattern = pattern_of(text)
    assert pattern is not None
    written = _TEXTS[column]
    return lambda leaf: pattern.search(written(leaf)) is not None


def histogram(seconds: list[float]) -> list[DurationBin]:
    """How many tasks took how long: bins of equal width on a logarithmic scale.

    Examples
    --------
    >>> [one.count for one in histogram([0.01, 0.02, 0.2, 1.0])]
    [2, 0, 1, 1]
    """
    if len(seconds) < 2:
        return []
    least, most = max(min(seconds), 1e-6), max(max(seconds), 1e-6)
    if most / least < 1.001:
        return [DurationBin(least, most, len(seconds))]
    count = min(BINS_MAX, max(4, math.ceil(math.sqrt(len(seconds)))))
    width = math.log(most / least) / count
    counts = [0] * count
    for one in seconds:
        counts[min(count - 1, max(0, int(math.log(max(one, least) / least) / width)))] += 1
    edges = [least * math.exp(width * place) for place in range(count)] + [most]
    return [DurationBin(edges[place], edges[place + 1], counts[place]) for place in range(count)]


def _row(leaf: TaskLeaf) -> TaskRow:
    start = _start(leaf)
    return TaskRow(
        key=leaf.key,
        id=_TEXTS["id"](leaf),
        name=_TEXTS["name"](leaf),
        type=_TEXTS["type"](leaf),
        state=leaf.state,
        start=None if start == _NEVER else start,
        took=_TEXTS["took"](leaf),
        governor=_SORTS["governor"](leaf),
        attempts=_SORTS["attempts"](leaf),
        cpus=_SORTS["cpus"](leaf),
        error=_TEXTS["error"](leaf),
        stale=leaf.record.stale,
        reused=_reused(leaf),
        reuse=reuse_of(leaf.record),
    )
