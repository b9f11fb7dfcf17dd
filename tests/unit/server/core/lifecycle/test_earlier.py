"""What is kept of attempts that ended badly."""

from __future__ import annotations

from rain.common.protocol import messages as m
from rain.common.spec import ATTEMPTS_TOLD_MAX, REASON_CHARS_MAX, Attempt, ProcessEnd, TaskError, TaskInfo, TaskSpec
from tests.unit.server.rig import Rig


def info(rig: Rig, task: TaskSpec) -> TaskInfo:
    """What the client was told last."""
    rig.turn()
    told = [one for said in rig.to_client if isinstance(said, m.SessionUpdate) for one in said.tasks]
    found = next(one.info for one in reversed(told) if one.id == task.id)
    assert isinstance(found, TaskInfo)
    return found


def dies(rig: Rig, task: TaskSpec, end: ProcessEnd | None = None, text: str = "died") -> None:
    """An attempt's executor dies."""
    rig.turn()
    name, attempt = rig.where(task)
    error = TaskError("crash", text, end=end)
    told = TaskInfo(start_time=5.0, duration=0.25)
    rig.says(name, m.Finished([m.TaskResult(task.id, attempt, told, [], error)]))


def test_attempts_before_the_one_that_finished_are_told() -> None:
    rig = Rig()
    rig.governor("g1")
    task = rig.task()
    rig.submit(task, keep=task.outputs)
    end = ProcessEnd("py", 812, signal="SIGSEGV", peak_bytes=1 << 20)
    dies(rig, task, end)
    dies(rig, task)
    rig.turn()
    rig.finish(task)
    found = info(rig, task)
    assert found.attempts == 3
    assert found.earlier == [
        Attempt(1, "g1", "", "crash", "died", 5.0, 0.25, end),
        Attempt(2, "g1", "", "crash", "died", 5.0, 0.25),
    ]


def test_a_task_that_ran_once_has_none() -> None:
    rig = Rig()
    rig.governor("g1")
    task = rig.task()
    rig.submit(task, keep=task.outputs)
    rig.turn()
    rig.finish(task)
    assert info(rig, task).earlier == []


def test_a_running_task_tells_of_them_too() -> None:
    rig = Rig()
    rig.governor("g1")
    task = rig.task()
    rig.submit(task)
    dies(rig, task)
    rig.turn()
    rig.start(task)
    assert [one.number for one in info(rig, task).earlier] == [1]


def test_the_loss_of_a_governor_and_its_departure() -> None:
    rig = Rig()
    rig.governor("g1")
    task = rig.task()
    rig.submit(task, keep=task.outputs)
    rig.turn()
    rig.start(task)
    rig.gone("g1")
    rig.governor("g2")
    rig.turn()
    rig.start(task)
    rig.says("g2", m.Draining("SIGTERM", 30.0, False))
    rig.says("g2", m.Stopped([(task.id, 2)], []))
    rig.governor("g3")
    rig.turn()
    rig.finish(task)
    earlier = info(rig, task).earlier
    assert [(one.governor, one.kind) for one in earlier] == [("g1", "crash"), ("g2", "left")]
    assert "silence" in earlier[0].reason


def test_what_failed_is_told_after_a_retry() -> None:
    rig = Rig()
    rig.governor("g1")
    task = rig.task()
    rig.submit(task, keep=task.outputs)
    rig.turn()
    rig.fail(task, "exception", "ValueError: 7")
    rig.ask(m.Retry, rig.session, [task.id])
    rig.turn()
    rig.finish(task)
    assert [(one.number, one.kind, one.reason) for one in info(rig, task).earlier] == [
        (1, "exception", "ValueError: 7")
    ]


def test_few_are_kept_and_little_of_each() -> None:
    rig = Rig()
    rig.governor("g1")
    task = rig.task(retries=3 * ATTEMPTS_TOLD_MAX)
    rig.submit(task, keep=task.outputs)
    for number in range(ATTEMPTS_TOLD_MAX + 2):
        rig.turn()
        rig.fail(task, "exception", f"{number}" + "x" * 10 * REASON_CHARS_MAX)
    rig.turn()
    rig.finish(task)
    earlier = info(rig, task).earlier
    assert [one.number for one in earlier] == list(range(3, ATTEMPTS_TOLD_MAX + 3))
    assert all(len(one.reason) < REASON_CHARS_MAX + 50 for one in earlier)


def test_what_comes_between_two_attempts_hides_none() -> None:
    rig = Rig()
    rig.governor("g1")
    task = rig.task()
    rig.submit(task)
    rig.turn()
    rig.start(task)
    dies(rig, task, text="SIGSEGV")
    rig.ask(m.Cancel, rig.session, [task.id])
    told = info(rig, task)
    assert (told.error, [(one.number, one.kind, one.reason) for one in told.earlier]) == (
        rig.error(task).message,
        [(1, "crash", "SIGSEGV")],
    )


def test_an_attempt_that_is_not_known_to_have_begun_is_not_told_as_the_one_before() -> None:
    rig = Rig()
    rig.governor("g1")
    task = rig.task()
    rig.submit(task, keep=task.outputs)
    dies(rig, task)
    rig.turn()
    rig.says("g1", m.Draining("SIGTERM", 30.0, False))
    rig.says("g1", m.Stopped([(task.id, 2)], []))
    rig.governor("g2")
    rig.turn()
    rig.finish(task)
    assert [(one.number, one.kind) for one in info(rig, task).earlier] == [(1, "crash")]
