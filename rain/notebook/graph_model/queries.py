"""What is looked up in a view for a request: a search, the critical path."""

from __future__ import annotations

import re

from rain.common.errors import RainException
from rain.common.formatting import duration_text
from rain.notebook.graph_model.records import title
from rain.notebook.graph_model.statuses import first_line
from rain.notebook.graph_model.tree import TaskLeaf
from rain.notebook.graph_model.view import View
from rain.notebook.protocol.lookups import (
    CriticalPath,
    Found,
    Hit,
)

HITS_MAX = 20


def pattern_of(text: str) -> re.Pattern[str] | None:
    """A regular expression in which case does not matter; None for an empty one.

    Raises
    ------
    RainException
        If it is none.
    """
    if not text:
        return None
    try:
        return re.compile(text, re.IGNORECASE)
    except re.error as error:
        raise RainException(f"{text!r} is not a regular expression: {error}") from None


def matches(leaf: TaskLeaf, pattern: re.Pattern[str]) -> bool:
    """Whether a task's name, type, id or error contains the pattern."""
    record = leaf.record
    return bool(
        pattern.search(title(record))
        or pattern.search(record.spec.task_type)
        or pattern.search(str(record.spec.id))
        or (record.error is not None and pattern.search(first_line(record.error.message)))
    )


# -- search ----------------------------------------------------------------------------------------


def search(view: View, pattern: re.Pattern[str] | None) -> Found:
    """Which visible nodes are, or hold, tasks and objects that contain the pattern."""
    keys: dict[str, None] = {}
    first: list[Hit] = []
    tasks = objects = 0
    if pattern is not None:
        for leaf in list(view.tree.tasks.values()):
            if matches(leaf, pattern):
                tasks += 1
                keys[view.visible(leaf)] = None
                if len(first) < HITS_MAX:
                    first.append(Hit(leaf.key, title(leaf.record)))
        for number, record in list(view.objects.items()):
            if record.spec.label and pattern.search(record.spec.label):
                objects += 1
                visible = view.visible_object(number)
                if visible is not None:
                    keys[visible] = None
                if len(first) < HITS_MAX:
                    first.append(Hit(f"o{number}", record.spec.label))
    return Found(list(keys), tasks, objects, first)


# -- critical path ---------------------------------------------------------------------------------


def critical(view: View, now: float) -> CriticalPath:
    """The chain of tasks, each needing the one before, that took longest so far, as far as it is visible."""
    chain = longest_chain(view, now)
    keys: dict[str, None] = {}
    for key in chain.keys:
        leaf = view.task(key)
        visible = view.visible(leaf) if leaf is not None else view.visible_object(int(key[1:]))
        if visible is not None:
            keys[visible] = None
    return CriticalPath(list(keys), chain.took)


def longest_chain(view: View, now: float) -> CriticalPath:
    """The same with the keys of tasks and objects, whether they are visible or not.

    Inputs have smaller numbers than the tasks that use them, so one pass in the order of numbers is enough.
    """
    best: dict[int, tuple[float, int | None]] = {}
    last: int | None = None
    for number in sorted(view.tree.tasks):
        leaf = view.tree.tasks[number]
        before, seconds = None, 0.0
        for item in leaf.record.spec.inputs:
            maker = _maker(view, item.id[1])
            if maker in best and (before is None or best[maker][0] > seconds):
                before, seconds = maker, best[maker][0]
        best[number] = (seconds + _seconds(leaf, now), before)
        if last is None or best[number][0] > best[last][0]:
            last = number
    keys: list[str] = []
    total = best[last][0] if last is not None else 0.0
    while last is not None:
        leaf = view.tree.tasks[last]
        before = best[last][1]
        if before is not None:
            inputs = dict.fromkeys(item.id[1] for item in leaf.record.spec.inputs)
            keys += [f"o{number}" for number in inputs if _maker(view, number) == before]
        keys.append(leaf.key)
        last = before
    return CriticalPath(keys, duration_text(total) if total else "")


def _maker(view: View, number: int) -> int | None:
    """The number of the task that makes an object."""
    obj = view.objects.get(number)
    return obj.task.spec.id[1] if obj is not None and obj.task is not None else None


def _seconds(leaf: TaskLeaf, now: float) -> float:
    info = leaf.record.info
    if info is not None and info.duration is not None:
        return info.duration
    return max(0.0, now - leaf.began) if leaf.state == "running" and leaf.began is not None else 0.0
