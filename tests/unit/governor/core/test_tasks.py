"""Scenarios: how tasks are assigned, run, finished, taken back and cancelled."""

from __future__ import annotations

import pytest

from rain.common.ids import ID
from rain.common.location import Inline
from rain.common.protocol import messages as m
from rain.common.spec import TaskError, TaskInfo, TaskOptions
from rain.governor.core import effects as fx
from rain.governor.core import events as ev
from tests.unit.governor.core.rig import FUNCTION, HERE, Rig, blob


def test_a_task_from_assignment_to_result():
    rig = Rig()
    assert rig.assign(rig.task(1)) == ["start e1 py", "run e1: 1/1#1"]
    assert rig.step(ev.ExecutorSeen(1, 1)) == ["> started 1/1"]
    assert rig.results(1, 1) == ["> finished 1/1"]


def test_the_executor_is_told_what_it_needs():
    rig = Rig(cpus=2)
    env = m.SessionEnv("host", "/usr/bin/python3", "3.11", ["/lib"], "/home/me")
    rig.server(m.OpenSession(1, env))
    task = rig.task(1, 5, function=FUNCTION, cpus=2, options=TaskOptions(env={"A": "b"}))
    rig.assign(task, objects=[blob(5), blob(FUNCTION)])
    start, run = rig.last[-2:]
    assert isinstance(start, fx.StartExecutor)
    assert isinstance(run, fx.RunOnExecutor)
    assert (start.session_id, start.resources, start.env, start.session_env) == (1, {"cpus": 2}, {"A": "b"}, env)
    [item] = run.items
    assert item.assignment is task
    assert [known.spec.id for known in item.inputs] == [ID(1, 5)]
    assert item.function is not None
    assert item.function.spec.id == ID(1, FUNCTION)


def test_a_function_is_sent_to_an_executor_once():
    rig = Rig()
    rig.assign(rig.task(1, function=FUNCTION), rig.task(2, function=FUNCTION), objects=[blob(FUNCTION)])
    rig.results(1, 1)
    runs = [effect for effect in rig.effects if isinstance(effect, fx.RunOnExecutor)]
    assert [item.function_cached for run in runs for item in run.items] == [False, True]


def test_the_most_urgent_starts_first():
    rig = Rig()
    assert rig.assign(rig.task(1, rank=3), rig.task(2, rank=1), rig.task(3, rank=2)) == [
        "start e1 py",
        "run e1: 1/2#1",
    ]
    assert rig.results(1, 2) == ["run e1: 1/3#2", "> finished 1/2"]


def test_a_chain_stays_here_and_is_released_in_one_turn():
    rig = Rig()
    # 1/2 needs what 1/1 makes: nothing was sent along.
    assert rig.assign(rig.task(1), rig.task(2, 10)) == ["start e1 py", "run e1: 1/1#1"]
    assert rig.results(1, 1) == ["run e1: 1/2#2", "> finished 1/1"]
    assert rig.results(1, 2) == ["> finished 1/2"]


def test_results_of_one_turn_are_one_message():
    rig = Rig(cpus=4)
    rig.assign(*(rig.task(n) for n in range(1, 5)))
    rig.step(*(ev.ExecutorResults(n, [rig.result(n)]) for n in range(1, 5)))
    [finished] = rig.said(m.Finished)
    assert len(finished.results) == 4


def test_a_failed_task_has_no_outputs():
    rig = Rig()
    rig.assign(rig.task(1), rig.task(2, 10))
    assert rig.fails(1, 1) == ["> failed 1/1 exception"]
    # What depended on it waits for the server's word.
    assert rig.cancel(2) == ["> stopped 1/2"]


def test_a_result_with_too_few_outputs_is_a_failure():
    rig = Rig()
    rig.assign(rig.task(1, outputs=2))
    result = rig.result(1)
    del result.outputs[1]
    assert rig.step(ev.ExecutorResults(1, [result])) == ["delete 1/10", "> failed 1/1 rain"]


def test_repeated_and_stale_orders_do_no_harm():
    rig = Rig()
    first, second = rig.task(1, attempt=1), rig.task(1, attempt=2)
    rig.assign(second)
    assert rig.assign(second) == []
    assert rig.assign(first) == []
    rig.attempts[ID(1, 1)] = 1
    assert rig.take_back(1) == ["> gave back"]
    assert rig.cancel(1) == ["> stopped 1/1"]
    rig.attempts[ID(1, 1)] = 2
    assert rig.results(1, 1) == ["> finished 1/1@2"]
    assert rig.cancel(1) == ["> stopped 1/1@2"]
    assert rig.take_back(1, 77) == ["> gave back"]


def test_a_newer_attempt_ends_the_older_one():
    rig = Rig(cpus=2)
    rig.assign(rig.task(1))
    rig.step(ev.ExecutorSeen(1, 1))
    assert rig.assign(rig.task(1, attempt=2)) == ["interrupt e1 #1", "start e2 py", "run e2: 1/1#1"]
    old = rig.result(1)
    old.attempt = 1
    assert rig.step(ev.ExecutorResults(1, [old])) == ["delete 1/10", "kill e1"]
    assert rig.step(ev.ExecutorExited(1, "was killed by signal SIGKILL")) == []
    assert rig.results(2, 1) == ["> finished 1/1@2"]


def test_a_stale_result_is_dropped():
    rig = Rig()
    rig.assign(rig.task(1, attempt=2))
    stale = m.TaskResult(
        ID(1, 1), 1, TaskInfo(), [m.OutputResult(ID(1, 10), rig.result(1).outputs[0].info, Inline(b"x"))]
    )
    assert rig.step(ev.ExecutorResults(1, [stale])) == ["delete 1/10"]
    assert rig.results(1, 1) == ["> finished 1/1@2"]


# -- what can never run here ----------------------------------------------------------------------


def test_more_than_there_is():
    rig = Rig(cpus=2)
    assert rig.assign(rig.task(1, cpus=3, gpus=1)) == ["> failed 1/1 resources"]
    [error] = [result.error for result in rig.said(m.Finished)[0].results]
    assert error.message == f"task 1/1 asks for cpus: 3, gpus: 1; governor {HERE} has cpus: 2 in all"


def test_amounts_that_are_none():
    rig = Rig()
    assert rig.assign(rig.task(1, cpus=-1)) == ["> failed 1/1 rain"]


def test_an_unknown_type():
    rig = Rig(executors=["cpp"])
    assert rig.assign(rig.task(1, kind="cobol/run"), rig.task(2, kind="cpp/run")) == [
        "start e1 cpp",
        "run e1: 1/2#1",
        "> failed 1/1 rain",
    ]
    [result] = rig.said(m.Finished)[0].results
    assert "no executor for tasks of type 'cobol/run'; it runs these types: builtin, cpp, py" in result.error.message


# -- builtin tasks --------------------------------------------------------------------------------


def test_a_builtin_task_counts_cpus():
    rig = Rig()
    assert rig.assign(rig.task(1, kind="builtin/concat"), rig.task(2, kind="builtin/sleep")) == [
        "builtin b1: 1/1",
        "> started 1/1",
    ]
    assert rig.step(ev.BuiltinEnded(1, rig.result(1))) == [
        "builtin b2: 1/2",
        "> started 1/2",
        "> finished 1/1",
    ]


def test_a_builtin_task_that_is_cancelled_is_waited_for():
    rig = Rig()
    rig.assign(rig.task(1, kind="builtin/sleep"))
    assert rig.cancel(1) == ["cancel b1"]
    assert rig.cancel(1) == []
    result = rig.result(1, error=TaskError("cancelled", ""))
    assert rig.step(ev.BuiltinEnded(1, result)) == ["> stopped 1/1"]


def test_a_cancelled_builtin_task_that_was_done_all_the_same():
    rig = Rig()
    rig.assign(rig.task(1, kind="builtin/sleep"))
    rig.cancel(1)
    assert rig.step(ev.BuiltinEnded(1, rig.result(1))) == ["delete 1/10", "> stopped 1/1"]


def test_a_builtin_task_over_its_time():
    rig = Rig()
    rig.assign(rig.task(1, kind="builtin/sleep", options=TaskOptions(timeout=2)))
    assert rig.later(1.9) == []
    assert rig.later(0.2) == ["cancel b1"]
    assert rig.later(0.2) == []
    result = rig.result(1, error=TaskError("cancelled", ""))
    assert rig.step(ev.BuiltinEnded(1, result)) == ["> failed 1/1 timeout"]


# -- taking back ----------------------------------------------------------------------------------


def test_tasks_that_have_not_started_are_given_back_at_once():
    rig = Rig()
    rig.assign(rig.task(1), rig.task(2), rig.task(3, 77))
    rig.step(ev.ExecutorSeen(1, 1))
    assert rig.take_back(1, 2, 3, 4) == ["> gave back 1/2 1/3"]
    assert rig.results(1, 1) == ["> finished 1/1"]


def test_queued_tasks_are_asked_for_and_answered_together():
    rig = Rig()
    rig.learn_short()
    rig.assign(*(rig.task(n) for n in range(1, 5)))
    assert rig.take_back(1, 2, 3, 4) == ["recall e1: #3 #4 #5"]
    # 1/2 has started meanwhile.
    assert rig.step(ev.ExecutorRecalled(1, [4, 5])) == ["> gave back 1/3 1/4"]
    assert rig.results(1, 1, 2) == ["> finished 1/1", "> finished 1/2"]


def test_what_ends_before_the_executor_answers_is_not_given_back():
    rig = Rig()
    rig.learn_short()
    rig.assign(rig.task(1), rig.task(2))
    assert rig.take_back(2) == ["recall e1: #3"]
    assert rig.results(1, 1, 2) == ["> finished 1/1", "> finished 1/2", "> gave back"]
    assert rig.step(ev.ExecutorRecalled(1, [])) == []


def test_an_executor_that_dies_gives_back_what_was_asked_for():
    rig = Rig()
    rig.learn_short()
    rig.assign(rig.task(1), rig.task(2))
    rig.take_back(2)
    assert rig.step(ev.ExecutorExited(1, "was killed by signal SIGSEGV", 2)) == [
        "> failed 1/1 crash",
        "> gave back 1/2",
    ]


def test_cancel_overrules_take_back():
    rig = Rig()
    rig.learn_short()
    rig.assign(rig.task(1), rig.task(2))
    rig.take_back(2)
    assert rig.cancel(2) == ["> gave back"]
    assert rig.step(ev.ExecutorRecalled(1, [3])) == ["> stopped 1/2"]


# -- cancelling -----------------------------------------------------------------------------------


def test_waiting_and_ready_tasks_are_forgotten():
    rig = Rig()
    rig.assign(rig.task(1), rig.task(2), rig.task(3, 77))
    assert rig.cancel(2, 3) == ["> stopped 1/2 1/3"]
    assert rig.results(1, 1) == ["> finished 1/1"]


def test_a_running_task_that_obeys():
    rig = Rig()
    rig.assign(rig.task(1))
    rig.step(ev.ExecutorSeen(1, 1))
    assert rig.cancel(1) == ["interrupt e1 #1"]
    assert rig.cancel(1) == []
    # Its children may live on: only the end of the executor ends them.
    assert rig.fails(1, 1, "cancelled") == ["kill e1"]
    assert rig.step(ev.ExecutorExited(1, "was killed by signal SIGKILL")) == ["> stopped 1/1"]


def test_a_running_task_that_does_not_obey():
    rig = Rig()
    rig.assign(rig.task(1), rig.task(2))
    rig.step(ev.ExecutorSeen(1, 1))
    rig.cancel(1)
    assert rig.later(0.9) == []
    assert rig.later(0.2) == ["kill e1"]
    assert rig.step(ev.ExecutorExited(1, "was killed by signal SIGKILL", 1)) == [
        "start e2 py",
        "run e2: 1/2#1",
        "> stopped 1/1",
    ]


def test_what_is_queued_behind_a_cancelled_task_goes_elsewhere():
    rig = Rig(cpus=2)
    rig.learn_short()
    rig.assign(rig.task(1), rig.task(2), rig.task(3), rig.task(4))  # e1: 1, 3; e2: 2, 4
    assert rig.cancel(1) == ["interrupt e1 #2", "recall e1: #3"]
    assert rig.step(ev.ExecutorRecalled(1, [3])) == ["run e2: 1/3#3"]
    assert rig.fails(1, 1, "cancelled") == ["kill e1"]
    assert rig.results(2, 2, 4, 3) == ["> finished 1/2", "> finished 1/4", "> finished 1/3"]


def test_a_queued_task_is_recalled_and_nothing_else_is_disturbed():
    rig = Rig()
    rig.learn_short()
    rig.assign(rig.task(1), rig.task(2), rig.task(3))
    assert rig.cancel(2) == ["recall e1: #3"]
    assert rig.step(ev.ExecutorRecalled(1, [3])) == ["> stopped 1/2"]
    assert rig.results(1, 1, 3) == ["> finished 1/1", "> finished 1/3"]


def test_a_queued_task_that_has_started_meanwhile_is_interrupted():
    rig = Rig()
    rig.learn_short()
    rig.assign(rig.task(1), rig.task(2), rig.task(3))
    rig.cancel(2)
    assert rig.step(ev.ExecutorRecalled(1, [])) == ["interrupt e1 #3", "recall e1: #2 #4"]
    assert rig.step(ev.ExecutorRecalled(1, [4])) == []
    # The result of 1/1 was on its way.
    assert rig.results(1, 1) == ["> finished 1/1"]
    assert rig.fails(1, 2, "cancelled") == ["kill e1"]
    assert rig.step(ev.ExecutorExited(1, "was killed by signal SIGKILL")) == [
        "start e2 py",
        "run e2: 1/3#1",
        "> stopped 1/2",
    ]


def test_a_task_hit_by_an_interrupt_that_was_meant_for_another_runs_again():
    rig = Rig()
    rig.learn_short()
    rig.assign(rig.task(1), rig.task(2))
    rig.cancel(1)
    rig.step(ev.ExecutorResults(1, [rig.result(1)]))
    assert rig.fails(1, 2, "exception", ["builtins.KeyboardInterrupt"]) == ["kill e1"]
    assert rig.step(ev.ExecutorExited(1, "was killed by signal SIGKILL")) == ["start e2 py", "run e2: 1/2#1"]


def test_a_task_too_far_along_to_be_recalled_ends_in_peace():
    rig = Rig()
    rig.learn_short()
    rig.assign(rig.task(1), rig.task(2))
    rig.cancel(1)
    # 1/1 had ended by itself; 1/2 runs.
    assert rig.step(ev.ExecutorResults(1, [rig.result(1)])) == ["delete 1/10", "> stopped 1/1"]
    assert rig.step(ev.ExecutorRecalled(1, [])) == []
    assert rig.later(5) == []
    assert rig.results(1, 2) == ["kill e1", "> finished 1/2"]


def test_a_task_in_an_executor_that_has_not_come_up_is_cancelled_at_once():
    rig = Rig()
    rig.assign(rig.task(1))
    assert rig.cancel(1) == ["kill e1"]
    assert rig.step(ev.ExecutorExited(1, "was killed by signal SIGKILL")) == ["> stopped 1/1"]


# -- limits of a task -----------------------------------------------------------------------------


def test_a_timeout_counts_from_when_the_task_was_seen_running():
    rig = Rig()
    rig.assign(rig.task(1, options=TaskOptions(timeout=2.5)), rig.task(2))
    rig.later(20)
    rig.step(ev.ExecutorSeen(1, 1))
    assert rig.later(2.4) == []
    assert rig.later(0.2) == ["kill e1"]
    assert rig.later(0.2) == []
    assert rig.step(ev.ExecutorExited(1, "was killed by signal SIGKILL", 1, stderr=b"busy")) == [
        "start e2 py",
        "run e2: 1/2#1",
        "> failed 1/1 timeout",
    ]
    [result] = rig.said(m.Finished)[0].results
    assert result.error.message.endswith("it ran longer than its timeout of 2.5 s")
    assert result.stderr == b"busy"
    assert result.info.duration == pytest.approx(2.8)


def test_a_result_that_came_before_the_kill_counts():
    rig = Rig()
    rig.assign(rig.task(1, options=TaskOptions(timeout=1)))
    rig.step(ev.ExecutorSeen(1, 1))
    rig.later(1.1)
    assert rig.results(1, 1) == ["> finished 1/1"]
    assert rig.step(ev.ExecutorExited(1, "was killed by signal SIGKILL", 1)) == []


def test_too_much_memory():
    rig = Rig(cpus=1, mem=8 << 30)
    rig.assign(rig.task(1, cpus=1, mem=2 << 30))
    rig.step(ev.ExecutorSeen(1, 1))
    assert rig.step(ev.OverMemory(1, 3 << 30)) == ["kill e1"]
    assert rig.step(ev.ExecutorExited(1, "was killed by signal SIGKILL", 1)) == ["> failed 1/1 memory"]
    [result] = rig.said(m.Finished)[0].results
    assert "it used 3.0 GiB of memory and declared" in result.error.message
    assert "which is 2.0 GiB" in result.error.message


def test_an_idle_executor_that_uses_too_much_memory_is_ended():
    rig = Rig(cpus=1, mem=8 << 30)
    rig.assign(rig.task(1, cpus=1, mem=2 << 30))
    rig.results(1, 1)
    assert rig.step(ev.OverMemory(1, 3 << 30)) == ["kill e1"]


def test_several_tasks_of_an_executor_that_has_not_come_up_are_cancelled():
    rig = Rig()
    rig.learn_short()
    rig.assign(rig.task(1), rig.task(2))
    rig.step(ev.ExecutorExited(1, "was killed by signal SIGSEGV"))
    assert rig.cancel(1, 2) == ["kill e2"]
    assert rig.step(ev.ExecutorExited(2, "was killed by signal SIGKILL")) == ["> stopped 1/1 1/2"]


def test_an_attempt_that_was_seen_running_and_is_replaced_is_not_reported_as_started():
    rig = Rig(cpus=2)
    rig.assign(rig.task(1))
    seen, newer = ev.ExecutorSeen(1, 1), ev.ServerSaid(m.Assign([rig.task(1, attempt=2)], []))
    assert rig.step(seen, newer) == ["interrupt e1 #1", "start e2 py", "run e2: 1/1#1"]


def stopped(rig: Rig) -> list[m.Stopped]:
    said = [effect.message for effect in rig.effects if isinstance(effect, fx.ToServer)]
    return [message for message in said if isinstance(message, m.Stopped)]


def test_what_a_cancelled_task_wrote_goes_with_the_answer():
    rig = Rig()
    rig.assign(rig.task(1))
    rig.step(ev.ExecutorSeen(1, 1))
    rig.cancel(1)
    result = rig.result(1, error=TaskError("cancelled", "the task was interrupted"))
    result.stdout, result.stderr, result.written = b"out", b"", (10, 0)
    rig.step(ev.ExecutorResults(1, [result]))
    assert stopped(rig) == []  # something of it may still run
    rig.step(ev.ExecutorExited(1, "was killed", 0))
    assert stopped(rig) == [m.Stopped([(ID(1, 1), 1)], [m.TaskOutput(ID(1, 1), 1, b"out", b"", 7, 0)])]


def test_what_a_killed_task_wrote_goes_with_the_answer():
    rig = Rig()
    rig.assign(rig.task(1))
    rig.step(ev.ExecutorSeen(1, 1))
    rig.cancel(1)
    rig.later(5)
    rig.step(ev.ExecutorExited(1, "was killed", 1, b"out", b"err", (3, 3)))
    assert stopped(rig) == [m.Stopped([(ID(1, 1), 1)], [m.TaskOutput(ID(1, 1), 1, b"out", b"err")])]
    assert not rig.core._state.stopped_outputs


def test_answers_with_much_output_are_several():
    rig = Rig(cpus=40)
    rig.assign(*(rig.task(n) for n in range(1, 41)))
    for n in range(1, 41):
        rig.step(ev.ExecutorSeen(n, 1))
    rig.cancel(*range(1, 41))
    exits = [ev.ExecutorExited(n, "was killed", 1, b"x" * 65536, b"", (65536, 0)) for n in range(1, 41)]
    rig.step(*exits)
    messages = stopped(rig)
    assert len(messages) == 3
    assert sorted(attempt for message in messages for attempt in message.tasks) == [(ID(1, n), 1) for n in range(1, 41)]
    assert sum(len(message.outputs) for message in messages) == 40


def test_nothing_is_kept_of_a_session_that_ends():
    rig = Rig()
    rig.assign(rig.task(1))
    rig.step(ev.ExecutorSeen(1, 1))
    rig.cancel(1)
    result = rig.result(1, error=TaskError("cancelled", "the task was interrupted"))
    result.stdout = b"out"
    rig.step(ev.ExecutorResults(1, [result]))
    rig.server(m.EndSession(1))
    rig.step(ev.ExecutorExited(1, "was killed", 0))
    assert not rig.core._state.stopped_outputs
