"""Which state each task and object was in at which time, from starts and durations; pure."""

from __future__ import annotations

from collections.abc import Iterator

from rain.common.state_styles import NEW
from rain.notebook.graph_model import View
from rain.notebook.graph_model.records import ObjectLike
from rain.notebook.graph_model.tree import TaskLeaf
from rain.notebook.protocol.report import Life, StateChange

_OPEN = ("waiting", "ready", "running")


class Lives:
    """The lives of all tasks and objects of a view.

    The server does not tell when a task became ready, failed without having run, or was cancelled: that is when the
    last of its inputs came, when the task failed that it needs, and the end.

    Parameters
    ----------
    view : View
    now : float
        Seconds since the epoch: up to when what still runs has run.

    Attributes
    ----------
    began, ended : float
        Seconds since the epoch: of the first start and the last end.
    """

    def __init__(self, view: View, now: float) -> None:
        self._view = view
        leaves = [view.tree.tasks[number] for number in sorted(view.tree.tasks)]
        starts = [start for leaf in leaves if (start := _start(leaf)) is not None]
        self.began = min(starts, default=now)
        ends = [end for leaf in leaves if (end := _end(leaf)) is not None]
        still = any(leaf.state in _OPEN for leaf in leaves)
        self.ended = max([self.began, *ends, *([now] if still else [])])
        self._ends: dict[int, float] = {}
        self._last_use: dict[int, float] = {}
        self._of_tasks = {leaf.key: self._task(leaf) for leaf in leaves}

    def all(self) -> Iterator[tuple[str, Life]]:
        """Keys and lives."""
        yield from self._of_tasks.items()
        for number, record in self._view.objects.items():
            yield f"o{number}", self._object(number, record)

    def _task(self, leaf: TaskLeaf) -> Life:
        """The life of a task; those that it needs come before it."""
        inputs = [item.id[1] for item in leaf.record.spec.inputs]
        makers = [self._maker(number) for number in inputs]
        needed = [self._ends.get(maker) for maker in makers if maker is not None]
        ready = max([self.began, *(end for end in needed if end is not None)])
        start, state = _start(leaf), leaf.state
        if state == NEW:
            return Life(NEW, [])
        found: list[tuple[float, str]] = []
        if None not in needed and (start is not None or state in _OPEN[1:]):
            found.append((ready if start is None else min(ready, start), "ready"))
        if start is not None:
            found.append((start, "running"))
        if state not in _OPEN:
            end = _end(leaf)
            if end is None:
                end = self.ended if state == "cancelled" else ready
            self._ends[leaf.record.spec.id[1]] = end
            for number in inputs:
                self._last_use[number] = max(end, self._last_use.get(number, end))
            found.append((end, state))
        return self._life("waiting", found, state)

    def _object(self, number: int, record: ObjectLike) -> Life:
        state = record.shown
        if state == NEW:
            return Life(NEW, [])
        maker = self._maker(number)
        if maker is None:
            gone = [(self._last_use.get(number, self.ended), state)] if state == "removed" else []
            return self._life("finished" if gone else state, gone, state)
        end = self._ends.get(maker)
        if end is None:
            return self._life("unfinished", [], state)
        if state != "removed":
            return self._life("unfinished", [(end, state)], state)
        return self._life("unfinished", [(end, "finished"), (self._last_use.get(number, end), state)], state)

    def _maker(self, number: int) -> int | None:
        record = self._view.objects.get(number)
        return record.task.spec.id[1] if record is not None and record.task is not None else None

    def _life(self, first: str, changes: list[tuple[float, str]], last: str) -> Life:
        """A life that ends in the state `last`, whatever clocks of several hosts say."""
        told: list[StateChange] = []
        before = 0
        for at, state in changes:
            before = max(before, round((at - self.began) * 1e6))
            told.append(StateChange(before, state))
        if (told[-1].state if told else first) != last:
            told.append(StateChange(max(before, round((self.ended - self.began) * 1e6)), last))
        return Life(first, told)


def _start(leaf: TaskLeaf) -> float | None:
    info = leaf.record.info
    if info is not None and info.start_time is not None:
        return info.start_time
    return leaf.began if leaf.state == "running" else None


def _end(leaf: TaskLeaf) -> float | None:
    info = leaf.record.info
    if leaf.state in _OPEN or info is None or info.start_time is None:
        return None
    return info.start_time + (info.duration or 0.0)
