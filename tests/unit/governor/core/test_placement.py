"""Scenarios: what is queued where, what waits for what."""

from __future__ import annotations

from rain.common.limits import PREFETCH_TASKS_MAX
from rain.common.spec import TaskOptions
from rain.governor.core import effects as fx
from rain.governor.core import events as ev
from tests.unit.governor.core.rig import Rig


def queued(rig: Rig) -> dict[int, int]:
    """Tasks given to each executor in the last step."""
    return {effect.executor_id: len(effect.items) for effect in rig.last if isinstance(effect, fx.RunOnExecutor)}


# -- queues in executors --------------------------------------------------------------------------


def test_tasks_of_unknown_length_are_not_queued():
    rig = Rig(cpus=2)
    rig.assign(*(rig.task(n) for n in range(1, 9)))
    assert queued(rig) == {1: 1, 2: 1}


def test_tasks_known_to_be_tiny_are_queued():
    rig = Rig(cpus=2)
    rig.assign(*(rig.task(n) for n in range(200)))
    rig.results(1, 0, took=20e-6)
    assert queued(rig) == {1: PREFETCH_TASKS_MAX}
    rig.results(2, 1, took=20e-6)
    assert queued(rig) == {2: PREFETCH_TASKS_MAX}


def test_the_queue_is_as_long_as_its_work():
    rig = Rig()
    rig.assign(*(rig.task(n) for n in range(50)))
    rig.results(1, 0, took=0.001)
    # 5 ms behind the running task
    assert queued(rig) == {1: 6}


def test_tasks_known_to_be_long_are_not_queued():
    rig = Rig()
    rig.assign(*(rig.task(n) for n in range(5)))
    rig.results(1, 0, took=0.5)
    assert queued(rig) == {1: 1}


def test_few_tasks_are_shared_evenly():
    rig = Rig(cpus=2)
    rig.learn_short()
    rig.assign(*(rig.task(n) for n in range(1, 11)))
    assert queued(rig) == {1: 5, 2: 5}


def test_a_slow_first_call_is_soon_forgotten():
    rig = Rig()
    rig.assign(*(rig.task(n) for n in range(100)))
    rig.results(1, 0, took=3.0)
    assert queued(rig) == {1: 1}
    rig.results(1, 1, took=20e-6)
    assert queued(rig) == {1: PREFETCH_TASKS_MAX}


def test_the_distance_of_starts_counts_what_the_task_itself_does_not_see():
    rig = Rig()
    rig.learn_short()
    rig.assign(*(rig.task(n) for n in range(1, 40)))
    # The tasks take nothing, and writing what they made takes 90 ms.
    results = [rig.result(n, start=n * 0.1, took=0.01) for n in range(1, 11)]
    rig.step(ev.ExecutorResults(1, results))
    assert queued(rig) == {}


def test_a_task_that_may_not_run_twice_is_not_queued_behind_another():
    rig = Rig()
    rig.learn_short()
    rig.assign(rig.task(1), rig.task(2, options=TaskOptions(rerun="never")), rig.task(3))
    assert queued(rig) == {1: 1}


# -- relief ---------------------------------------------------------------------------------------


def test_what_is_queued_behind_a_task_that_takes_too_long_is_recalled():
    rig = Rig()
    rig.learn_short()
    rig.assign(*(rig.task(n) for n in range(1, 5)))
    rig.step(ev.ExecutorSeen(1, 2))
    assert rig.later(0.015) == []
    assert rig.later(0.015) == ["recall e1: #3 #4 #5"]
    assert rig.later(1) == []
    assert rig.step(ev.ExecutorRecalled(1, [3, 4, 5])) == []
    # They start as soon as anything can run them.
    assert rig.step(ev.ExecutorExited(1, "was killed by signal SIGSEGV", 2)) == [
        "start e2 py",
        "run e2: 1/2#1 1/3#2 1/4#3",
        "> failed 1/1 crash",
    ]


def test_work_moves_to_an_executor_that_could_be_had():
    rig = Rig(cpus=2)
    rig.assign(*(rig.task(n) for n in range(10)))
    assert rig.results(1, 0, took=0.0005) == [
        "run e1: " + " ".join(f"1/{n}#{n}" for n in range(2, 10)),
        "> finished 1/0",
    ]
    # e1 has work for 4 ms, e2 has nothing.
    assert rig.results(2, 1, took=0.0005) == ["recall e1: #6 #7 #8 #9", "> finished 1/1"]
    assert rig.step(ev.ExecutorRecalled(1, [6, 7, 8, 9])) == ["run e2: 1/6#2 1/7#3 1/8#4 1/9#5"]


# -- urgency --------------------------------------------------------------------------------------


def test_an_executor_runs_dry_for_what_is_more_urgent():
    rig = Rig()
    rig.learn_short()
    rig.assign(*(rig.task(n, rank=5) for n in range(1, 100)))
    first = queued(rig)[1]
    rig.assign(rig.task(200, rank=1, kind="builtin/concat"))
    rig.results(1, *range(1, first // 2), took=0.0001)
    assert queued(rig) == {}
    assert rig.results(1, *range(first // 2, first + 1), took=0.0001)[0] == "builtin b1: 1/200"
    # The builtin task has the cpu.
    assert queued(rig) == {}
    rig.step(ev.BuiltinEnded(1, rig.result(200)))
    assert queued(rig) != {}


def test_less_urgent_work_does_not_stop_what_runs():
    rig = Rig()
    rig.learn_short()
    rig.assign(*(rig.task(n, rank=1) for n in range(1, 200)))
    first = queued(rig)[1]
    rig.assign(rig.task(200, rank=5, kind="builtin/concat"))
    rig.results(1, *range(1, first // 2), took=0.0001)
    assert queued(rig) != {}


def test_urgent_work_that_lacks_something_else_is_in_nobodys_way():
    rig = Rig(cpus=2, gpus=1)
    rig.learn_short()
    rig.assign(rig.task(300, gpus=1, cpus=0.5, rank=1), rig.task(301, gpus=1, cpus=0.5, rank=1))
    rig.assign(*(rig.task(n, rank=5) for n in range(1, 200)))
    first = queued(rig)[1]
    rig.results(1, *range(1, first // 2), took=0.0001)
    assert queued(rig) != {}


def test_a_large_task_is_not_passed_for_ever():
    rig = Rig(cpus=2)
    rig.assign(rig.task(1), rig.task(2))
    assert rig.assign(rig.task(3, cpus=2, rank=1), *(rig.task(n, rank=2) for n in range(4, 10))) == []
    # Both run since 2 s: they are expected to take as long again, so tasks that take less may start meanwhile…
    rig.now += 2
    assert rig.results(1, 1, took=1.9) == ["run e1: 1/4#2", "> finished 1/1"]
    # …but when the other one ends, one more would make the large one wait.
    rig.now += 0.1
    assert rig.results(2, 2, took=2.0) == ["> finished 1/2"]
    assert rig.results(1, 4, took=2.0) == ["start e3 py", "run e3: 1/3#1", "> finished 1/4"]


# -- bounds ---------------------------------------------------------------------------------------


def test_tasks_that_need_nothing_do_not_start_processes_without_end():
    rig = Rig(cpus=2)
    rig.assign(*(rig.task(n, cpus=0) for n in range(1000)))
    started = sum(isinstance(effect, fx.StartExecutor) for effect in rig.last)
    assert 8 <= started <= 64
    # Others are not kept out by them.
    assert rig.assign(rig.task(2000, cpus=2))[0].startswith("start")


def test_idle_executors_are_few():
    rig = Rig(cpus=1)
    for n in range(10):
        rig.assign(rig.task(n, options=TaskOptions(env={"A": str(n)})))
        executor = next(effect.executor_id for effect in rig.last if isinstance(effect, fx.RunOnExecutor))
        rig.results(executor, n)
    killed = [effect.executor_id for effect in rig.effects if isinstance(effect, fx.KillExecutor)]
    assert killed == [1, 2, 3, 4, 5]


# -- a server that takes nothing ------------------------------------------------------------------


def test_nothing_is_started_while_much_waits_for_the_server():
    rig = Rig(cpus=4)
    rig.assign(rig.task(1))
    assert queued(rig) == {1: 1}
    rig.step(ev.ServerBehind(True))
    rig.assign(rig.task(2), rig.task(3))
    assert queued(rig) == {}
    assert "> finished 1/1" in rig.results(1, 1)  # what ran is told
    assert queued(rig) == {}
    rig.step(ev.ServerBehind(False))
    assert sum(queued(rig).values()) == 2
    rig.step(ev.ServerBehind(True))
    rig.step(ev.ServerGone())
    rig.assign(rig.task(4))
    assert sum(queued(rig).values()) == 1, "another server is not behind"
