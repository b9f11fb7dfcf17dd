"""What tasks write: kept with results, asked of governors while they run; always answered."""

from __future__ import annotations

from typing import Any

from rain.common.limits import OUTPUT_TASKS_MAX, TASK_OUTPUT_BYTES_MAX
from rain.common.protocol import messages as m
from rain.common.protocol.messages import Had, TaskOutput
from rain.server.core import events as ev
from rain.server.core.reporting import output
from tests.unit.server.rig import Rig


def running(rig: Rig, **options: Any) -> Any:
    task = rig.task(**options)
    rig.submit(task)
    rig.turn()
    governor, given = rig.given[(task.id, 1)]
    rig.says(governor, m.Started([(task.id, given.attempt)]))
    return task


def asked(rig: Rig, governor: str = "g1") -> m.ReadOutput:
    found = [message for message in rig.to_governor[governor] if isinstance(message, m.ReadOutput)]
    return found[-1]


def answer(rig: Rig, request: int) -> Any:
    found = [said for said in rig.to_client if getattr(said, "request", None) == request]
    assert len(found) < 2
    return found[0] if found else None


def finish(rig: Rig, task: Any, attempt: int = 1, stdout: bytes = b"", **fields: Any) -> None:
    outputs = [rig.output(id, "g1", False, b"x") for id in task.outputs]
    rig.says("g1", m.Finished([m.TaskResult(task.id, attempt, m.TaskInfo(), outputs, stdout=stdout, **fields)]))


def test_a_running_task_is_asked_at_its_governor() -> None:
    rig = Rig()
    rig.governor()
    task = running(rig)
    had = [Had(1, 3, 0)]
    assert rig.ask(m.GetOutput, [task.id], had) is None
    request = asked(rig)
    assert (request.tasks, request.had) == ([(task.id, 1)], had)
    found = TaskOutput(task.id, 1, b"more", b"", 3, 0, True)
    rig.says("g1", m.OutputRead(request.request, [found]))
    assert answer(rig, rig.requests).outputs == [found]
    rig.says("g1", m.OutputRead(request.request, [found]))  # nobody waits for a second one
    assert not rig.core.state.readings


def test_a_task_that_finishes_meanwhile() -> None:
    rig = Rig()
    rig.governor()
    task = running(rig)
    rig.ask(m.GetOutput, [task.id])
    finish(rig, task, stdout=b"all of it", written=(9, 0))
    rig.says("g1", m.OutputRead(asked(rig).request, [TaskOutput(task.id, 1, b"all", running=True)]))
    assert answer(rig, rig.requests).outputs == [TaskOutput(task.id, 1, b"all of it")]


def test_a_task_that_was_not_found_running() -> None:
    rig = Rig()
    rig.governor()
    task = running(rig)
    rig.ask(m.GetOutput, [task.id])
    rig.says("g1", m.OutputRead(asked(rig).request, []))
    assert answer(rig, rig.requests).outputs == [TaskOutput(task.id, 0)]


def test_several_governors_of_which_one_dies() -> None:
    rig = Rig()
    rig.governor("g1", cpus=1.0)
    rig.governor("g2", cpus=1.0)
    tasks = [rig.task() for _ in range(2)]
    rig.submit(*tasks)
    rig.turn()
    for task in tasks:
        rig.says(rig.given[(task.id, 1)][0], m.Started([(task.id, 1)]))
    at = {rig.given[(task.id, 1)][0]: task for task in tasks}
    assert at.keys() == {"g1", "g2"}
    rig.ask(m.GetOutput, [task.id for task in tasks])
    number = rig.requests
    rig.says("g1", m.OutputRead(asked(rig, "g1").request, [TaskOutput(at["g1"].id, 1, b"one", running=True)]))
    assert answer(rig, number) is None
    rig.step(ev.GovernorGone("g2", "killed"))
    texts = {one.id: one.stdout for one in answer(rig, number).outputs}
    assert texts == {at["g1"].id: b"one", at["g2"].id: b""}


def test_nobody_waits_any_more() -> None:
    rig = Rig(persistent=True)
    rig.governor()
    task = running(rig)
    rig.ask(m.GetOutput, [task.id])
    request = asked(rig).request
    rig.step(ev.ClientGone(rig.client))
    rig.says("g1", m.OutputRead(request, []))
    assert answer(rig, rig.requests) is None


def test_a_session_that_is_closed_meanwhile() -> None:
    rig = Rig()
    rig.governor()
    task = running(rig)
    rig.ask(m.GetOutput, [task.id])
    number = rig.requests
    rig.ask(m.CloseSession, rig.session)
    rig.turn()
    rig.says("g1", m.OutputRead(asked(rig).request, []))
    rig.says("g1", m.SessionEnded(rig.session))
    assert answer(rig, number).outputs == [TaskOutput(task.id, 0)]


def test_what_is_kept_is_told_behind_what_is_known() -> None:
    rig = Rig()
    rig.governor()
    task = running(rig)
    finish(rig, task, stdout=b"56789", stderr=b"e", written=(10, 1))

    def get(*had: Had) -> TaskOutput:
        (found,) = rig.ask(m.GetOutput, [task.id], list(had)).outputs
        assert isinstance(found, TaskOutput)
        return found

    assert get() == get(Had()) == TaskOutput(task.id, 1, b"56789", b"e", 5, 0)
    assert get(Had(1, 7, 1)) == TaskOutput(task.id, 1, b"789", b"", 7, 1)
    assert get(Had(1, 2, 0)) == TaskOutput(task.id, 1, b"56789", b"e", 5, 0)
    assert get(Had(1, 10, 1)) == TaskOutput(task.id, 1, b"", b"", 10, 1)
    assert get(Had(2, 10, 1)) == get()  # known of an attempt that is not the last


def test_requests_that_are_refused() -> None:
    rig = Rig()
    task = rig.task()
    rig.submit(task)
    assert rig.ask(m.GetOutput, []).outputs == []
    assert "never submitted" in rig.ask(m.GetOutput, [task.id, rig.id()]).message
    assert "OUTPUT_TASKS_MAX" in rig.ask(m.GetOutput, [task.id] * (OUTPUT_TASKS_MAX + 1)).message
    assert isinstance(rig.ask(m.GetOutput, [task.id], [Had(), Had()]), m.Failed)


def test_the_oldest_outputs_go(monkeypatch: Any) -> None:
    monkeypatch.setattr(output, "OUTPUTS_BYTES_MAX", 10)
    rig = Rig()
    rig.governor()
    first, second = running(rig), running(rig)
    finish(rig, first, stdout=b"first")
    finish(rig, second, stdout=b"second")
    assert [one.stdout for one in rig.ask(m.GetOutput, [first.id, second.id]).outputs] == [b"", b"second"]
    assert rig.core.state.graph.sessions[rig.session].outputs_bytes == 6


def wrote(task: Any, attempt: int = 1, stdout: bytes = b"so far") -> TaskOutput:
    return TaskOutput(task.id, attempt, stdout)


def kept(rig: Rig, task: Any) -> tuple[bytes, int]:
    (found,) = rig.ask(m.GetOutput, [task.id]).outputs
    return found.stdout, found.attempt


def test_what_a_cancelled_task_wrote_is_kept() -> None:
    rig = Rig()
    rig.governor()
    task, other = running(rig), running(rig)
    rig.ask(m.Cancel, rig.session, [task.id, other.id])
    rig.turn()
    # It may still write: whoever asks hears of it when it has ended.
    assert rig.ask(m.GetOutput, [task.id, other.id]) is None
    request = rig.requests
    assert [message for message in rig.to_governor["g1"] if isinstance(message, m.ReadOutput)] == []
    rig.says("g1", m.Stopped([(task.id, 1)], [wrote(task)]))
    assert answer(rig, request) is None
    rig.says("g1", m.Stopped([(other.id, 1)]))
    assert [found.stdout for found in answer(rig, request).outputs] == [b"so far", b""]
    assert kept(rig, task) == (b"so far", 1)


def test_nobody_waits_for_the_end_of_a_task_at_a_governor_that_is_lost() -> None:
    rig = Rig()
    rig.governor()
    task = running(rig)
    rig.ask(m.Cancel, rig.session, [task.id])
    rig.turn()
    assert rig.ask(m.GetOutput, [task.id]) is None
    rig.gone("g1")
    assert answer(rig, rig.requests).outputs == [TaskOutput(task.id, 0)]


def test_nobody_waits_for_the_end_of_a_task_of_a_closed_session() -> None:
    rig = Rig()
    rig.governor()
    task = running(rig)
    rig.ask(m.Cancel, rig.session, [task.id])
    rig.turn()
    assert rig.ask(m.GetOutput, [task.id]) is None
    request = rig.requests
    rig.ask(m.CloseSession, rig.session)
    rig.turn()
    rig.says("g1", m.SessionEnded(rig.session))
    assert answer(rig, request) is not None


def test_an_old_attempt_does_not_take_the_place_of_a_newer_one() -> None:
    rig = Rig()
    rig.governor("g1", cpus=1.0)
    rig.governor("g2", cpus=1.0)
    task = running(rig)
    first, _ = rig.where(task)
    rig.ask(m.Cancel, rig.session, [task.id])
    rig.turn()
    rig.ask(m.Retry, rig.session, [task.id])
    rig.turn()
    second, attempt = rig.where(task)
    assert second != first
    rig.says(second, m.Finished([m.TaskResult(task.id, attempt, m.TaskInfo(), [], m.TaskError("exit", "no"), b"new")]))
    rig.says(first, m.Stopped([(task.id, 1)], [wrote(task)]))
    assert kept(rig, task) == (b"new", attempt)
    assert not rig.core.state.readings


def test_what_is_said_of_tasks_that_nobody_knows_is_not_kept() -> None:
    rig = Rig()
    rig.governor()
    task = running(rig)
    finish(rig, task, stdout=b"all")
    other = rig.task()
    rig.says("g1", m.Stopped([(other.id, 1)], [wrote(other), TaskOutput(m.ID(77, 1), 1, b"x")]))
    assert set(rig.core.state.graph.sessions[rig.session].outputs) == {task.id[1]}


def test_long_outputs_are_cut() -> None:
    rig = Rig()
    rig.governor()
    task = running(rig)
    rig.ask(m.Cancel, rig.session, [task.id])
    rig.turn()
    rig.says("g1", m.Stopped([(task.id, 1)], [wrote(task, stdout=b"a" + b"b" * TASK_OUTPUT_BYTES_MAX)]))
    (found,) = rig.ask(m.GetOutput, [task.id]).outputs
    assert (found.stdout, found.stdout_before) == (b"b" * TASK_OUTPUT_BYTES_MAX, 1)
