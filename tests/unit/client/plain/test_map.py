"""`map` of plain functions: one family where the calls differ by their arguments only."""

from __future__ import annotations

import functools
import threading
from typing import Any

import pytest

from rain import RainException, Session, Task, task
from rain.client.building.task_list import TaskList
from rain.client.core.families.family import Family


def scaled(x: Any, by: Any = 2) -> Any:
    return x * by


def pending(session: Session) -> list[Any]:
    return list(session._inside.mirror.pending)


@pytest.mark.parametrize(
    "made",
    [
        lambda: task(scaled).map([1, 2, 3], by=4),
        lambda: task(scaled).map([1, 2, 3], [4, 5, 6]),
        lambda: task(functools.partial(scaled, 7)).map([1, 2, 3]),
        lambda: task(functools.partial(scaled, by=7)).map([1, 2, 3]),
    ],
    ids=["keyword", "two", "partial", "partial keyword"],
)
def test_it_is_one_family_whose_outputs_are_kept(made: Any, session: Session) -> None:
    tasks = made()
    assert type(tasks) is TaskList
    (family,) = [item for item in pending(session) if isinstance(item, Family)]
    assert family.count == 3
    assert family.template.config.plain
    assert list(family.kept) == [1, 1, 1]
    assert all(each.output.is_kept for each in tasks)


def test_calls_with_objects_are_tasks_of_their_own_and_kept(session: Session) -> None:
    function = task(scaled)
    first = function(1)
    tasks = function.map([1, first, 3])
    assert [len(each.inputs) for each in tasks] == [0, 1, 0]
    assert all(each.output.is_kept for each in tasks)
    config: Any = tasks[1]._record.spec.config
    assert config.plain
    assert function.map([]) == []


def test_one_that_cannot_be_made_leaves_none(session: Session) -> None:
    with pytest.raises(RainException, match=r"item 1 of scaled\.map\(\).*cannot be pickled"):
        task(scaled).map([1, threading.Lock()])
    with pytest.raises(TypeError, match=r"scaled\.options\(cpus=3\)"):
        task(scaled).map([1], cpus=3)
    with pytest.raises(TypeError, match="too many positional arguments"):
        task(scaled).map([1], [2], [3])
    assert not [item for item in pending(session) if isinstance(item, Family | Task)]


@pytest.mark.parametrize("argument", [1, [1] * 100], ids=["family", "alone"])
def test_seeds_are_the_sessions(argument: Any, session: Session) -> None:
    session.seed = 5
    for made in (task(scaled)(argument), task(scaled).map([argument])[0], session.call(scaled, argument)):
        assert made._record.spec.config.seed == 5
