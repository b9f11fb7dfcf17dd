"""Scenarios: executors that crash, do not start, are replaced, are reused, are ended."""

from __future__ import annotations

import pytest

from rain.common.ids import ID
from rain.common.limits import CANCEL_GRACE_S, EXECUTOR_IDLE_S, EXECUTOR_START_S
from rain.common.protocol import messages as m
from rain.common.spec import TaskOptions
from rain.governor.core import effects as fx
from rain.governor.core import events as ev
from tests.unit.governor.core.rig import HERE, Rig, blob

SEGV = "was killed by signal SIGSEGV (Segmentation fault)"
KILL = "was killed by signal SIGKILL (Killed)"


# -- crashes --------------------------------------------------------------------------------------


def test_only_the_task_in_the_shared_word_is_charged():
    rig = Rig()
    rig.learn_short()
    rig.assign(*(rig.task(n) for n in range(1, 4)))
    rig.results(1, 1)
    assert rig.step(ev.ExecutorExited(1, SEGV, 3)) == [
        "start e2 py",
        "run e2: 1/3#1",
        "> failed 1/2 crash",
    ]
    assert rig.results(2, 3) == ["> finished 1/3"]


def test_the_text_of_a_crash():
    rig = Rig()
    rig.assign(rig.task(1, attempt=2))
    rig.step(ev.ExecutorExited(1, SEGV, 1, b"out", b"Fatal Python error\n"))
    [result] = rig.said(m.Finished)[0].results
    assert result.error.message == (
        f"the executor {SEGV} while it ran attempt 2 of task 1/1 on governor {HERE}\n"
        "Content of stderr (last 19 bytes):\nFatal Python error"
    )
    assert (result.stdout, result.stderr) == (b"out", b"Fatal Python error\n")
    assert result.info.error == result.error.message
    assert result.info.governor == HERE


def test_a_kill_that_was_not_ours():
    rig = Rig()
    rig.assign(rig.task(1))
    rig.step(ev.ExecutorExited(1, f"{KILL}\nIt was out of memory.", 1, b"", b"last words"))
    [result] = rig.said(m.Finished)[0].results
    assert result.error.message == (
        f"the executor {KILL} while it ran attempt 1 of task 1/1 on governor {HERE}\nIt was out of memory.\n"
        "Content of stderr (last 10 bytes):\nlast words"
    )


def test_an_executor_that_dies_between_tasks_costs_nobody():
    rig = Rig()
    rig.learn_short()
    rig.assign(rig.task(1), rig.task(2))
    rig.results(1, 1)
    assert rig.step(ev.ExecutorExited(1, KILL, 0)) == ["start e2 py", "run e2: 1/2#1"]


def test_an_idle_executor_that_dies():
    rig = Rig()
    rig.assign(rig.task(1))
    rig.results(1, 1)
    assert rig.step(ev.ExecutorExited(1, KILL)) == []
    assert rig.assign(rig.task(2)) == ["start e2 py", "run e2: 1/2#1"]


def test_the_word_of_a_task_whose_result_came():
    rig = Rig()
    rig.assign(rig.task(1))
    rig.results(1, 1)
    assert rig.step(ev.ExecutorExited(1, SEGV, 1)) == []


# -- executors that do not start ------------------------------------------------------------------


def test_an_executor_that_never_comes_up_is_not_tried_for_ever():
    rig = Rig()
    rig.assign(rig.task(1), rig.task(2))
    assert rig.step(ev.ExecutorExited(1, "exited with status 1")) == ["start e2 py", "run e2: 1/1#1"]
    assert rig.step(ev.ExecutorExited(2, "exited with status 1")) == ["start e3 py", "run e3: 1/1#1"]
    assert rig.step(ev.ExecutorExited(3, "exited with status 1", stderr=b"no module named rain")) == [
        "start e4 py",
        "run e4: 1/2#1",
        "> failed 1/1 rain",
    ]
    [result] = rig.said(m.Finished)[0].results
    assert "3 in a row ended before they ran anything; the last one exited with status 1" in result.error.message
    assert "no module named rain" in result.error.message
    # Nothing has changed: the next task need not wait for three more.
    assert rig.step(ev.ExecutorExited(4, "exited with status 1")) == ["> failed 1/2 rain"]


def test_one_that_works_clears_the_count():
    rig = Rig()
    rig.assign(rig.task(1))
    rig.step(ev.ExecutorExited(1, "exited with status 1"))
    rig.step(ev.ExecutorExited(2, "exited with status 1"))
    rig.results(3, 1)
    rig.assign(rig.task(2))
    rig.step(ev.ExecutorExited(3, SEGV))
    assert rig.step(ev.ExecutorExited(4, "exited with status 1")) == ["start e5 py", "run e5: 1/2#1"]


def test_an_executor_that_hangs_before_it_comes_up():
    rig = Rig()
    rig.assign(rig.task(1))
    for n in range(1, 3):
        assert rig.later(EXECUTOR_START_S + 1) == [f"kill e{n}"]
        assert rig.step(ev.ExecutorExited(n, KILL)) == [f"start e{n + 1} py", f"run e{n + 1}: 1/1#1"]
    rig.later(EXECUTOR_START_S + 1)
    assert rig.step(ev.ExecutorExited(3, KILL)) == ["> failed 1/1 rain"]
    [result] = rig.said(m.Finished)[0].results
    assert "did not come up within 30 s (EXECUTOR_START_S)" in result.error.message


def test_the_start_of_a_foreign_executor_is_not_judged_here():
    rig = Rig(["cpp"])
    rig.assign(rig.task(1, kind="cpp/run"))
    assert rig.later(EXECUTOR_START_S + 1) == []


def test_an_executor_that_could_not_be_started_for_a_task():
    rig = Rig()
    rig.assign(rig.task(1))
    assert rig.step(ev.ExecutorExited(1, "could not be started: no such file", 1)) == ["> failed 1/1 crash"]
    [result] = rig.said(m.Finished)[0].results
    assert "for attempt 1 of task 1/1 on governor 127.0.0.1:7211 could not be started: no such file" in (
        result.error.message
    )


# -- reuse and replacement ------------------------------------------------------------------------


def test_an_executor_is_reused_by_its_like_only():
    rig = Rig()
    rig.assign(rig.task(1))
    rig.results(1, 1)
    assert rig.assign(rig.task(2)) == ["run e1: 1/2#2"]
    rig.results(1, 2)
    assert rig.assign(rig.task(3, kind="builtin/execute")) == ["start e2 program", "run e2: 1/3#1"]
    rig.results(2, 3)
    assert rig.assign(rig.task(4, cpus=0.5)) == ["start e3 py", "run e3: 1/4#1"]
    rig.results(3, 4)
    assert rig.assign(rig.task(5, options=TaskOptions(env={"A": "b"}))) == ["start e4 py", "run e4: 1/5#1"]
    rig.results(4, 5)
    assert rig.assign(rig.task(1, session=2)) == ["start e5 py", "run e5: 2/1#1"]


def test_a_fresh_executor_is_never_a_used_one_and_becomes_one():
    rig = Rig()
    fresh = TaskOptions(fresh=True)
    rig.assign(rig.task(1))
    rig.results(1, 1)
    assert rig.assign(rig.task(2, options=fresh)) == ["start e2 py", "run e2: 1/2#1"]
    rig.results(2, 2)
    assert rig.assign(rig.task(3, options=fresh)) == ["start e3 py", "run e3: 1/3#1"]
    rig.results(3, 3)
    assert rig.assign(rig.task(4)) == ["run e3: 1/4#2"]


def test_an_executor_with_outdated_code_is_replaced():
    rig = Rig()
    rig.learn_short()
    rig.assign(*(rig.task(n) for n in range(1, 4)))
    assert rig.results(1, 1, stale=True) == ["recall e1: #3 #4", "> finished 1/1"]
    assert rig.step(ev.ExecutorRecalled(1, [4])) == []
    assert rig.results(1, 2) == ["kill e1", "> finished 1/2"]
    assert rig.step(ev.ExecutorExited(1, KILL)) == ["start e2 py", "run e2: 1/3#1"]


def stale_executor() -> Rig:
    """Executor 1 runs outdated code and is on task 2, which it could not give back."""
    rig = Rig()
    rig.learn_short()
    rig.assign(*(rig.task(n) for n in range(1, 4)))
    rig.results(1, 1, stale=True)
    rig.step(ev.ExecutorRecalled(1, [4]))
    return rig


def test_the_last_task_of_an_executor_with_outdated_code_is_cancelled():
    rig = stale_executor()
    assert rig.cancel(2) == ["interrupt e1 #3"]
    assert rig.later(CANCEL_GRACE_S) == ["kill e1"]
    assert rig.step(ev.ExecutorExited(1, KILL, 3)) == ["start e2 py", "run e2: 1/3#1", "> stopped 1/2"]


def test_an_executor_with_outdated_code_dies_by_itself():
    rig = stale_executor()
    assert rig.step(ev.ExecutorExited(1, KILL, 3)) == ["start e2 py", "run e2: 1/3#1", "> failed 1/2 crash"]


def test_an_executor_that_gives_back_what_it_cannot_run_unasked():
    rig = Rig()
    rig.learn_short()
    rig.assign(*(rig.task(n) for n in range(1, 4)))
    stale = ev.ExecutorResults(1, [], stale=True)
    assert rig.step(stale, ev.ExecutorRecalled(1, [2, 3, 4])) == ["kill e1"]
    assert rig.step(ev.ExecutorRecalled(1, [])) == []
    assert rig.step(ev.ExecutorExited(1, KILL)) == ["start e2 py", "run e2: 1/1#1 1/2#2 1/3#3"]


def test_idle_executors_end_after_a_while():
    rig = Rig(cpus=2)
    rig.assign(rig.task(1), rig.task(2))
    rig.results(1, 1)
    rig.later(10)
    rig.results(2, 2)
    assert rig.later(EXECUTOR_IDLE_S - 10) == ["kill e1"]
    assert rig.later(10) == ["kill e2"]
    assert rig.step(ev.ExecutorExited(1, KILL), ev.ExecutorExited(2, KILL)) == []


def test_foreign_executors_get_one_task_at_a_time():
    rig = Rig(["cpp"])
    rig.assign(rig.task(1, kind="cpp/run"))
    rig.results(1, 1, took=0.0001)
    assert rig.assign(rig.task(2, kind="cpp/run"), rig.task(3, kind="cpp/run")) == ["run e1: 1/2#2"]
    assert rig.results(1, 2) == ["run e1: 1/3#3", "> finished 1/2"]


# -- devices --------------------------------------------------------------------------------------


def test_devices_are_given_by_number():
    rig = Rig(cpus=4, gpus=2)
    assert rig.assign(rig.task(1, cpus=1, gpus=1), rig.task(2, cpus=1, gpus=1), rig.task(3, cpus=1, gpus=1)) == [
        "start e1 py gpus=[0]",
        "start e2 py gpus=[1]",
        "run e1: 1/1#1",
        "run e2: 1/2#1",
    ]
    # It keeps its device.
    assert rig.results(2, 2) == ["run e2: 1/3#2", "> finished 1/2"]


def test_an_idle_executor_makes_room_on_its_device():
    rig = Rig(cpus=4, gpus=2)
    rig.assign(rig.task(1, cpus=1, gpus=1))
    rig.results(1, 1)
    assert rig.assign(rig.task(2, cpus=1, gpus=2)) == ["kill e1", "start e2 py gpus=[0, 1]", "run e2: 1/2#1"]


def test_an_idle_executor_makes_room_for_memory():
    rig = Rig(cpus=4, mem=100)
    rig.assign(rig.task(1, cpus=1, mem=60))
    rig.results(1, 1)
    assert rig.assign(rig.task(2, cpus=1, mem=40)) == ["start e2 py", "run e2: 1/2#1"]
    rig.results(2, 2)
    assert rig.assign(rig.task(3, cpus=1, mem=10)) == ["kill e1", "start e3 py", "run e3: 1/3#1"]


# -- sessions and the server ----------------------------------------------------------------------


def test_the_end_of_a_session_waits_for_all_that_runs():
    rig = Rig(cpus=3)
    rig.assign(rig.task(1), rig.task(2, kind="builtin/sleep"), rig.task(3, 77), rig.task(1, session=2))
    assert rig.server(m.EndSession(1)) == ["kill e1", "cancel b1"]
    assert rig.server(m.EndSession(1)) == []
    assert rig.assign(rig.task(4)) == []
    assert rig.results(1, 1) == ["delete 1/10"]
    assert rig.step(ev.ExecutorExited(1, KILL, 1)) == []
    assert rig.step(ev.BuiltinEnded(1, rig.result(2))) == ["delete 1/20", "delete session 1", "> session 1 ended"]
    assert rig.results(2, 1) == ["delete 1/10"]


def test_the_end_of_a_session_that_is_not_here():
    assert Rig().server(m.EndSession(7)) == ["delete session 7", "> session 7 ended"]


def test_the_end_of_a_session_answers_what_was_asked_back():
    rig = Rig()
    rig.learn_short()
    rig.assign(rig.task(1), rig.task(2))
    rig.take_back(2)
    assert rig.server(m.EndSession(1)) == ["kill e1", "> gave back"]


def test_other_sessions_go_on():
    rig = Rig(cpus=1)
    rig.assign(rig.task(1), rig.task(1, session=2))
    rig.server(m.EndSession(1))
    assert rig.step(ev.ExecutorExited(1, KILL, 1)) == [
        "delete session 1",
        "start e2 py",
        "run e2: 2/1#1",
        "> session 1 ended",
    ]


def test_when_the_server_is_gone_everything_goes():
    rig = Rig(cpus=2)
    rig.assign(rig.task(1), rig.task(2, kind="builtin/sleep"), rig.task(3, 77))
    rig.assign(rig.task(4, 5), objects=[blob(5, None)])
    assert rig.step(ev.ServerGone()) == ["kill e1", "cancel b1", "cancel fetch 1/5", "keep what was noted"]
    # The server knows nothing of the past and begins anew with the same ids; what dies still has its cpus.
    assert rig.assign(rig.task(1), rig.task(3)) == []
    assert rig.step(ev.ExecutorExited(1, KILL, 1)) == ["start e2 py", "run e2: 1/1#1"]
    assert rig.step(ev.BuiltinEnded(1, rig.result(2)), ev.FetchFailed(ID(1, 5), "cancelled")) == [
        "delete 1/20",
        "start e3 py",
        "run e3: 1/3#1",
    ]
    assert rig.results(2, 1) == ["> finished 1/1"]


# -- figures --------------------------------------------------------------------------------------


def test_load():
    rig = Rig(cpus=2)
    rig.assign(rig.task(1), rig.task(2), rig.task(3), rig.task(4, 77))
    load = rig.core.load()
    assert {
        name: load[name]
        for name in ("tasks", "tasks_ready", "tasks_waiting", "executors", "executors_running", "cpus_used")
    } == {
        "tasks": 4,
        "tasks_ready": 1,
        "tasks_waiting": 1,
        "executors": 2,
        "executors_running": 2,
        "cpus_used": 2,
    }


def test_what_was_to_be_dropped_goes_with_the_server():
    """What is noted of it would stay in the store else, until another server has it dropped."""
    rig = Rig()
    rig.assign(rig.task(1, 5), objects=[blob(5)])
    assert rig.drop(5) == [], "the task that runs reads it"
    assert rig.step(ev.ServerGone()) == ["kill e1", "delete 1/5", "keep what was noted"]


@pytest.mark.parametrize(
    "event",
    [
        ev.ExecutorResults(9, []),
        ev.ExecutorRecalled(9, [1]),
        ev.ExecutorSeen(9, 1),
        ev.ExecutorExited(9, SEGV, 1),
        ev.OverMemory(9, 1),
        ev.FetchDone(ID(1, 9)),
        ev.FetchFailed(ID(1, 9), ""),
        ev.ObjectLost(ID(1, 9), ""),
        ev.ServerGone(),
        ev.Tick(),
    ],
)
def test_events_about_nothing_known(event):
    kept = ["keep what was noted"] if isinstance(event, ev.ServerGone) else []
    assert Rig().step(event) == kept


def test_each_start_has_a_name_of_its_own():
    rig = Rig()
    for _ in range(3):
        rig.assign(rig.task(1))
        rig.step(ev.ServerGone())
        rig.step(*(ev.ExecutorExited(n, KILL) for n in range(1, 9)))
    starts = [effect.executor_id for effect in rig.effects if isinstance(effect, fx.StartExecutor)]
    assert starts == [1, 2, 3]


def test_the_logs_of_a_foreign_executor_that_crashed():
    rig = Rig(["cpp"])
    rig.assign(rig.task(1, kind="cpp/run"))
    rig.step(ev.ExecutorExited(1, SEGV, 1, b"loading", b"oops"))
    [result] = rig.said(m.Finished)[0].results
    assert result.error.message.endswith(
        "Content of stdout (last 7 bytes):\nloading\nContent of stderr (last 4 bytes):\noops"
    )


# -- what running tasks have written --------------------------------------------------------------


def test_output_is_read_where_the_task_is():
    rig = Rig(cpus=1)
    rig.learn_short()
    rig.assign(rig.task(1, attempt=2), rig.task(2))
    had = [m.Had(2, 5, 0), m.Had(7, 5, 0), m.Had(), m.Had()]
    asked = m.ReadOutput(1, [(ID(1, 1), 2), (ID(1, 2), 1), (ID(1, 1), 1), (ID(1, 9), 1)], had)
    assert rig.server(asked) == ["read 1: e1#2 behind 5, e1#3 behind 0"]
    found = [m.TaskOutput(ID(1, 1), 2, b"more", b"", 5)]
    assert rig.step(ev.OutputsRead(1, found)) == ["> read 1: 1/1 more"]


def test_a_question_about_nothing_is_answered_too():
    rig = Rig()
    assert rig.server(m.ReadOutput(4, [(ID(3, 1), 1)])) == ["read 4: "]
    assert rig.step(ev.OutputsRead(4, [])) == ["> read 4: "]
