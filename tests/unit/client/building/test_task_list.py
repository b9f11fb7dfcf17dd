"""What `map` gives is a list: whatever reads it finds its tasks, or says why not."""

from __future__ import annotations

import bisect
import copy
import functools
import heapq
import itertools
import json
import operator
import pickle
import random
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from rain import RainException, Session, Task, remote
from rain.client.building.task_list import TaskList

COUNT = 3


@remote()
def double(ctx: Any, x: Any) -> Any:
    return x


def made() -> Any:
    """A list whose tasks are not made yet."""
    found = double.map(range(COUNT))
    assert type(found) is TaskList
    assert found._whole() is not None
    return found


def summed(tasks: Any) -> Any:
    both: list[Any] = sum([tasks, tasks], [])  # noqa: RUF017 # as users do
    return both[:COUNT] if both[:COUNT] == both[COUNT:] else both


def extended(tasks: Any) -> Any:
    whole: list[Any] = []
    other = whole
    other += tasks
    return whole


def method_extended(tasks: Any) -> Any:
    whole: list[Any] = []
    whole.extend(tasks)
    return whole


def assigned(tasks: Any) -> Any:
    whole: list[Any] = [0]
    whole[0:1] = tasks
    return whole


def stepped(tasks: Any) -> Any:
    whole: list[Any] = [0] * 2 * COUNT
    whole[::2] = tasks
    return whole[::2]


def unpacked(tasks: Any) -> Any:
    a, b, c = tasks
    return [a, b, c]


def starred(tasks: Any) -> Any:
    first, *rest = tasks
    return [first, *rest]


def matched(tasks: Any) -> Any:
    match tasks:
        case [first, *rest]:
            return [first, *rest]
    return None


def shuffled(tasks: Any) -> Any:
    random.Random(1).shuffle(tasks)
    return sorted(tasks, key=lambda task: task.id)


def one_more(tasks: Any) -> Any:
    bisect.insort(tasks, tasks[-1], key=lambda task: task.id)
    return tasks[:COUNT]


def without_first(tasks: Any) -> Any:
    first = tasks[0]
    del tasks[0]
    return [first, *tasks]


def compared(tasks: Any) -> Any:
    same = list(double.map(range(COUNT)))
    assert tasks != same
    assert same != tasks
    empty: list[Any] = []
    assert empty != tasks
    assert tasks != empty
    assert [tasks] != [[]]
    twin = copy.copy(tasks)
    for other in (double.map(range(COUNT)), double.map([])):
        assert tasks != other
        assert other != tasks
    assert [tasks] == [twin]
    assert tasks == twin
    return tasks


READERS: list[Callable[[Any], Any]] = [
    list, tuple, deque, iter, copy.copy, summed, extended, method_extended, assigned, stepped, unpacked, starred,
    matched, shuffled, one_more, without_first, compared, dict.fromkeys, itertools.chain,
    lambda tasks: [*tasks],
    lambda tasks: (lambda *items: items)(*tasks),
    lambda tasks: list[Any]() + tasks,
    lambda tasks: operator.concat(tasks, []),
    lambda tasks: tasks * 1,
    lambda tasks: tasks[:],
    lambda tasks: tasks.copy(),
    lambda tasks: [tasks[place] for place in range(len(tasks))],
    lambda tasks: [item for _, item in enumerate(tasks)],
    lambda tasks: [item for item, in zip(tasks, strict=True)],
    lambda tasks: list(filter(None, tasks)),
    lambda tasks: list(reversed(list(reversed(tasks)))),
    lambda tasks: sorted(tasks, key=lambda task: task.id),
    lambda tasks: sorted({*tasks}, key=lambda task: task.id),
    lambda tasks: heapq.nsmallest(COUNT, tasks, key=lambda task: task.id),
    lambda tasks: sorted(random.sample(tasks, COUNT), key=lambda task: task.id),
    lambda tasks: functools.reduce(lambda found, item: [*found, item], tasks, []),
    lambda tasks: list(np.array(tasks, dtype=object)),
    lambda tasks: list(np.asarray(tasks, dtype=object)),
    lambda tasks: [tasks.pop() for _ in range(COUNT)][::-1],
    lambda tasks: operator.itemgetter(0, 1, 2)(tasks),
    lambda tasks: (double.map(range(COUNT)) + tasks)[COUNT:],
    lambda tasks: double.map(range(COUNT)).__iadd__(tasks)[COUNT:],
]  # fmt: skip


@pytest.mark.parametrize("reader", READERS, ids=range(len(READERS)))
def test_readers_find_all_tasks(reader: Callable[[Any], Any], session: Session) -> None:
    tasks = made()
    ids = [tasks[place].id for place in range(COUNT)]
    found = list(reader(tasks))
    assert all(isinstance(item, Task) for item in found)
    assert [item.id for item in found] == ids


def test_what_has_no_tasks_in_it_is_refused_as_of_any_list(session: Session) -> None:
    for read in (json.dumps, lambda tasks: json.dumps(tasks, indent=1)):
        with pytest.raises(TypeError, match="not JSON serializable"):
            read(made())
    with pytest.raises(RainException, match="cannot be pickled"):
        pickle.dumps(made())
    with pytest.raises(TypeError, match="unhashable"):
        hash(made())
    assert bool(made())
    assert len(made()) == operator.length_hint(made()) == COUNT
    assert made().__contains__(0) is False


def test_who_looks_into_the_memory_of_the_list_is_told(session: Session) -> None:
    for read in (
        heapq.heapify,
        heapq.heappop,
        lambda tasks: list.index(tasks, 0),
        lambda tasks: list.__getitem__(tasks, 0).id,
        lambda tasks: operator.concat([], tasks)[0].id,
        lambda tasks: heapq.heappush(tasks, tasks[0]),
    ):
        tasks = made()
        with pytest.raises(RainException, match=r"give it list\(tasks\)"):
            read(tasks)
        assert [task.id for task in tasks][:COUNT] == [tasks[place].id for place in range(COUNT)]
