"""Tasks that follow, in an executor's queue, the tasks that make their inputs."""

from __future__ import annotations

from typing import Any

import pytest

from rain.common.ids import ID
from rain.common.location import LocalFile
from rain.common.protocol import messages as m
from rain.common.spec import ObjectInfo, TaskOptions
from rain.governor.core import effects as fx
from rain.governor.core import events as ev
from tests.unit.governor.core.rig import Rig, blob


@pytest.fixture
def rig() -> Rig:
    """One cpu, and tasks are known to be short."""
    rig = Rig()
    rig.learn_short()
    return rig


def chain(rig: Rig, first: int = 1, count: int = 3) -> list[str]:
    """Assign tasks of which each takes what the one before makes."""
    links = [rig.task(n, *([10 * (n - 1)] if n > first else [])) for n in range(first, first + count)]
    return rig.assign(*links)


def test_a_chain_is_queued_at_once(rig: Rig) -> None:
    assert chain(rig) == ["run e1: 1/1#2 1/2#3 1/3#4"]
    (given,) = [effect for effect in rig.last if isinstance(effect, fx.RunOnExecutor)]
    assert [item.inputs for item in given.items] == [[], [fx.Awaited(ID(1, 10))], [fx.Awaited(ID(1, 20))]]
    assert rig.results(1, 1, 2, took=1e-4) == ["> finished 1/1", "> finished 1/2"]
    assert rig.results(1, 3, took=1e-4) == ["> finished 1/3"]


def test_what_comes_later_follows_what_is_queued(rig: Rig) -> None:
    chain(rig, 1, 2)
    assert rig.assign(rig.task(3, 20)) == ["run e1: 1/3#4"]
    assert rig.assign(rig.task(4, 30), rig.task(5, 40)) == ["run e1: 1/4#5 1/5#6"]


def test_what_others_wait_for_too_is_told_first(rig: Rig) -> None:
    assert rig.assign(rig.task(1), rig.task(2, 10), rig.task(3, 10)) == ["run e1: 1/1#2"]
    assert rig.results(1, 1, took=1e-4)[0] == "run e1: 1/2#3 1/3#4"


def test_what_awaits_something_that_another_awaits_too_is_not_looked_at_again() -> None:
    rig = Rig(cpus=2)
    rig.learn_short()
    assert rig.assign(*(rig.task(n) for n in (1, 2, 3))) == ["start e2 py", "run e1: 1/1#2 1/3#3", "run e2: 1/2#1"]
    state = rig.core._state
    rig.server(m.Assign([rig.task(5, 10, 20), rig.task(6, 20, 30)], []))
    assert not state.following
    assert not any(executor.chain.nexts for executor in state.executors.values())


def test_one_follows_two_makers_of_one_queue(rig: Rig) -> None:
    assert rig.assign(rig.task(1), rig.task(2), rig.task(3, 10, 20)) == ["run e1: 1/1#2 1/2#3 1/3#4"]


def test_one_with_two_makers_follows_both_in_one_executor_only() -> None:
    rig = Rig(cpus=2)
    rig.learn_short()
    assert rig.assign(rig.task(1), rig.task(2), rig.task(3, 10, 20)) == [
        "start e2 py",
        "run e1: 1/1#2",
        "run e2: 1/2#1",
    ]
    assert rig.results(1, 1, took=1e-4) == ["> finished 1/1"]
    assert rig.results(2, 2, took=1e-4) == ["run e2: 1/3#2", "> finished 1/2"]


@pytest.mark.parametrize(
    "other",
    [{"cpus": 0.5}, {"options": TaskOptions(rerun="never")}, {"options": TaskOptions(env={"A": "1"})}],
    ids=["other resources", "it may not run twice", "another environment"],
)
def test_what_cannot_be_queued_there_waits(rig: Rig, other: dict[str, Any]) -> None:
    assert rig.assign(rig.task(1), rig.task(2, 10, **other)) == ["run e1: 1/1#2"]


def test_what_is_not_known_to_be_short_waits() -> None:
    rig = Rig()
    assert chain(rig) == ["start e1 py", "run e1: 1/1#1"]
    assert rig.results(1, 1, took=3.0) == ["run e1: 1/2#2", "> finished 1/1"]


def test_what_lacks_something_else_waits(rig: Rig) -> None:
    assert rig.assign(rig.task(1), rig.task(2, 10, 77)) == ["run e1: 1/1#2"]


def test_a_maker_that_failed_leaves_its_followers_waiting(rig: Rig) -> None:
    chain(rig)
    assert rig.fails(1, 1) == ["> failed 1/1 exception"]
    # The executor has nothing to run the next with, nor the one behind it.
    assert rig.step(ev.ExecutorRecalled(1, [3], unasked=True), ev.ExecutorRecalled(1, [4], unasked=True)) == []
    assert rig.cancel(2, 3) == ["> stopped 1/2 1/3"]


def test_a_crash_charges_the_link_that_ran_and_the_others_run_again(rig: Rig) -> None:
    chain(rig)
    rig.step(ev.ExecutorResults(1, [rig.result(1, took=1e-4)]))
    assert rig.step(ev.ExecutorExited(1, "was killed by signal SIGSEGV", 3)) == ["> failed 1/2 crash"]
    assert rig.assign(rig.task(2, 10, attempt=2)) == ["start e2 py", "run e2: 1/2#1 1/3#2"]


def test_followers_of_a_maker_that_crashed_wait_for_its_next_attempt(rig: Rig) -> None:
    chain(rig)
    assert rig.step(ev.ExecutorExited(1, "was killed by signal SIGSEGV", 2)) == ["> failed 1/1 crash"]
    assert rig.assign(rig.task(1, attempt=2)) == ["start e2 py", "run e2: 1/1#1 1/2#2 1/3#3"]


def test_a_link_that_is_cancelled_is_recalled(rig: Rig) -> None:
    chain(rig)
    assert rig.cancel(2) == ["recall e1: #3"]
    assert rig.step(ev.ExecutorRecalled(1, [3])) == ["> stopped 1/2"]
    assert rig.results(1, 1, took=1e-4) == ["> finished 1/1"]
    assert rig.step(ev.ExecutorRecalled(1, [4], unasked=True)) == []


def test_a_link_that_is_recalled_waits_again_if_it_lacks_something(rig: Rig) -> None:
    chain(rig)
    rig.step(ev.ExecutorSeen(1, 2))
    rig.later(0.015)
    assert rig.later(0.015) == ["recall e1: #3 #4"]
    assert rig.step(ev.ExecutorRecalled(1, [3, 4])) == []
    assert rig.results(1, 1, took=1e-4)[0].startswith("run e1: 1/2#")


def test_an_unasked_return_is_no_answer_to_a_recall(rig: Rig) -> None:
    chain(rig)
    rig.cancel(2, 3)
    assert rig.step(ev.ExecutorRecalled(1, [4], unasked=True)) == ["> stopped 1/3"]
    assert rig.step(ev.ExecutorRecalled(1, [3])) == ["> stopped 1/2"]


def test_a_result_made_of_what_was_not_taken_does_not_count(rig: Rig) -> None:
    chain(rig)
    rig.assign(rig.task(1, attempt=2))  # the first attempt was replaced while it ran
    old = rig.result(1, took=1e-4)
    old.attempt = 1
    lines = rig.step(ev.ExecutorResults(1, [old, rig.result(2, took=1e-4), rig.result(3, took=1e-4)]))
    assert not [line for line in lines if line.startswith("> finished")]
    assert "run e2: 1/1#1 1/2#2 1/3#3" in [*lines, *rig.step(ev.ExecutorExited(1, "was ended", 0))]


def test_a_lost_object_is_told_when_its_user_comes_back(rig: Rig) -> None:
    chain(rig, 1, 2)
    rig.server(m.Assign([], [blob(10, None)]))
    rig.step(ev.FetchFailed(ID(1, 10), "gone"))
    assert rig.step(ev.ExecutorExited(1, "was killed by signal SIGSEGV", 2)) == [
        "> failed 1/1 crash",
        "> 1/2 cannot have 1/10",
    ]


def test_nothing_follows_what_makes_files(rig: Rig) -> None:
    chain(rig, 1, 1)
    large = rig.result(1, took=1e-4)
    large.outputs[0].location = LocalFile("/x", 1, 1, 1)
    large.outputs[0].info = ObjectInfo(size=1 << 20)
    rig.step(ev.ExecutorResults(1, [large]))
    assert chain(rig, 2, 2) == ["run e1: 1/2#3"]


def test_followers_are_not_moved_to_an_idle_executor_before_they_could_run() -> None:
    rig = Rig(cpus=2)
    rig.assign(rig.task(99))
    rig.results(1, 99, took=0.001)
    assert chain(rig, 1, 5) == ["run e1: 1/1#2 1/2#3 1/3#4 1/4#5 1/5#6"]
    rig.step(ev.ExecutorSeen(1, 2))
    assert rig.later(0.001) == []


def test_a_more_urgent_task_without_room_keeps_followers_from_being_queued(rig: Rig) -> None:
    rig.assign(rig.task(1))
    assert rig.assign(rig.task(50, kind="builtin/concat", rank=-1.0), rig.task(2, 10)) == []
    assert rig.results(1, 1, took=1e-4)[0] == "builtin b1: 1/50"
