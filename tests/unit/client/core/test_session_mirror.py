"""Folding of news into records, and gates."""

from __future__ import annotations

import time

from rain.client.core.gates import AnyGate, Gate, QueueGate
from rain.client.core.records import ObjectRecord, TaskRecord, target
from rain.client.core.session_mirror import SessionMirror
from rain.common.ids import ID
from rain.common.location import Inline, Replica, Replicas
from rain.common.protocol.messages import ObjectUpdate, TaskUpdate
from rain.common.spec import ObjectInfo, ObjectSpec, TaskError, TaskInfo, TaskSpec
from rain.common.states import DataObjectState, TaskState

O, T = DataObjectState, TaskState  # noqa: E741


def mirror_of(count: int) -> tuple[SessionMirror, list[TaskRecord]]:
    """A mirror with submitted tasks of one output each; their numbers are 1, 3, 5 …"""
    mirror = SessionMirror()
    tasks = []
    for number in range(1, 2 * count, 2):
        task = TaskRecord(TaskSpec(ID(1, number), "a/b"), (), None)
        output = ObjectRecord(ObjectSpec(ID(1, number + 1)), task)
        task.outputs = (output,)
        mirror.records[number], mirror.records[number + 1] = task, output
        tasks.append(task)
    mirror.submitting(tasks)
    return mirror, tasks


def news(task: TaskRecord, state: TaskState, error: TaskError | None = None) -> TaskUpdate:
    return TaskUpdate(task.spec.id, state, TaskInfo(), error)


def test_a_task_finishes() -> None:
    mirror, (task, other) = mirror_of(2)
    assert (task.state, task.outputs[0].state) == (T.WAITING, O.UNFINISHED)
    mirror.fold([news(task, T.RUNNING)], [])
    assert (task.state, mirror.unfinished) == (T.RUNNING, 2)
    update = ObjectUpdate(ID(1, 2), O.FINISHED, ObjectInfo(size=3), Inline(b"abc", 5))
    mirror.fold([news(task, T.FINISHED)], [update])
    output = task.outputs[0]
    assert (output.state, output.location) == (O.FINISHED, Inline(b"abc", 5))
    assert (mirror.unfinished, mirror.finished, mirror.submitted) == (1, 1, 2)
    assert not other.settled


def test_outputs_follow_their_task_without_news_of_their_own() -> None:
    mirror, (first, second) = mirror_of(2)
    mirror.fold([news(first, T.FINISHED), news(second, T.FAILED, TaskError("exception", "x"))], [])
    assert first.outputs[0].state is O.FINISHED
    assert second.outputs[0].state is O.FAILED
    assert list(mirror.failed.values()) == [second]


def test_a_task_that_was_retried_may_have_nothing_to_do() -> None:
    mirror, (task,) = mirror_of(1)
    mirror.fold([news(task, T.FAILED, TaskError("exception", "x"))], [])
    mirror.fold([news(task, T.FINISHED)], [])
    assert (mirror.failed, mirror.broken, mirror.finished, mirror.unfinished) == ({}, 0, 1, 0)
    assert (task.error, task.outputs[0].state) == (None, O.FINISHED)


def test_removed_objects_lose_their_data() -> None:
    mirror, (task,) = mirror_of(1)
    place = Replica("g:1", "h")
    mirror.fold([news(task, T.FINISHED)], [ObjectUpdate(ID(1, 2), O.FINISHED, None, Replicas([place]))])
    assert task.outputs[0].location == Replicas([place])
    mirror.fold([], [ObjectUpdate(ID(1, 2), O.REMOVED)])
    assert (task.outputs[0].state, task.outputs[0].location) == (O.REMOVED, None)
    mirror.fold([news(task, T.FINISHED)], [])
    assert task.outputs[0].state is O.REMOVED


def test_a_task_that_goes_back_is_counted_again() -> None:
    mirror, (task,) = mirror_of(1)
    mirror.fold([news(task, T.FAILED, TaskError("crash", "x"))], [])
    assert (mirror.unfinished, len(mirror.failed)) == (0, 1)
    mirror.fold([news(task, T.WAITING)], [])
    assert (mirror.unfinished, mirror.finished, len(mirror.failed)) == (1, 0, 0)
    assert task.error is None
    assert task.outputs[0].state is O.UNFINISHED
    mirror.fold([news(task, T.FINISHED)], [])
    mirror.fold([news(task, T.READY)], [ObjectUpdate(ID(1, 2), O.UNFINISHED)])
    assert (mirror.unfinished, task.outputs[0].state) == (1, O.UNFINISHED)
    mirror.fold([news(task, T.FINISHED)], [])
    assert (mirror.unfinished, mirror.finished, task.outputs[0].state) == (0, 1, O.FINISHED)


def test_the_same_news_twice_count_once() -> None:
    mirror, (task,) = mirror_of(1)
    for _ in range(2):
        mirror.fold([news(task, T.FINISHED)], [])
    assert (mirror.unfinished, mirror.finished) == (0, 1)


def test_unknown_ids_are_passed_over() -> None:
    mirror, _ = mirror_of(1)
    assert mirror.fold([TaskUpdate(ID(1, 99), T.FINISHED)], [ObjectUpdate(ID(1, 98), O.FINISHED)]) == []


def test_gates() -> None:
    mirror, (a, b, c) = mirror_of(3)
    every, some, failing, queue = Gate([a, b]), AnyGate([b, c]), Gate([a, c]), QueueGate([a, b, c])
    for gate in (every, some, failing, queue):
        mirror.arm(gate)
    assert mirror.fold([news(a, T.FINISHED)], []) == [queue]
    assert set(mirror.fold([news(b, T.FINISHED)], [])) == {every, some, queue}
    assert set(mirror.fold([news(c, T.CANCELLED, TaskError("cancelled", "x"))], [])) == {failing, some, queue}
    assert list(queue.done) == [a, b, c]
    assert a.gates is None


def test_gates_that_are_taken_away() -> None:
    mirror, (a, b) = mirror_of(2)
    gate = Gate([a, b])
    mirror.arm(gate)
    mirror.fold([news(a, T.FINISHED)], [])
    mirror.disarm(gate)
    assert b.gates is None
    assert not mirror.gates
    assert mirror.fold([news(b, T.FINISHED)], []) == []


def test_idle_gates() -> None:
    mirror, (a, b) = mirror_of(2)
    patient, hasty = Gate([]), Gate([])
    mirror.arm_idle(patient, False)
    mirror.arm_idle(hasty, True)
    assert mirror.fold([news(a, T.FAILED, TaskError("exception", "x"))], []) == [hasty]
    assert mirror.fold([news(b, T.FINISHED)], []) == [patient]


def test_constants() -> None:
    from rain.client.operations.constant_values import Value

    mirror = SessionMirror()
    record = ObjectRecord(ObjectSpec(ID(1, 1)), None, Value(b"abc", 3))
    mirror.records[1] = record
    assert target(record) is record
    mirror.submitting([record])
    gate = Gate([record])
    mirror.arm(gate)
    assert mirror.accepted([record]) == [gate]
    assert (record.state, record.info, record.value) == (O.FINISHED, ObjectInfo(size=3), None)


def test_a_refused_submit_is_undone() -> None:
    mirror, tasks = mirror_of(2)
    mirror.refused(tasks)
    assert (mirror.unfinished, mirror.submitted) == (0, 0)
    assert (tasks[0].state, tasks[0].outputs[0].state) == (None, None)


def test_folding_is_cheap() -> None:
    count = 20_000
    mirror, tasks = mirror_of(count)
    updates = [news(task, T.FINISHED) for task in tasks]
    objects = [ObjectUpdate(task.outputs[0].spec.id, O.FINISHED, ObjectInfo(), Inline(b"x")) for task in tasks]
    begin = time.process_time()
    mirror.fold(updates, objects)
    assert time.process_time() - begin < count * 50e-6  # about 1 µs each; a guard against something quadratic
