"""Scenarios: inputs that turn out to be damaged, before an attempt or after it."""

from __future__ import annotations

from rain.common.ids import ID
from rain.common.protocol import messages as m
from rain.common.spec import TaskError, TaskOptions
from rain.governor.core import events as ev
from tests.unit.governor.core.rig import Rig, blob


def damaged(rig: Rig, n: int, *objects: int, ran: bool = False, suspect: bool = False) -> m.TaskResult:
    result = rig.result(n, error=TaskError("input", "input 1/7 was changed"))
    result.damage = m.Damage([ID(1, number) for number in objects], ran, suspect)
    return result


def two_readers(options: TaskOptions | None = None) -> Rig:
    """Tasks 1 and 2 run in executors 1 and 2, and object 7 is their input."""
    rig = Rig(cpus=2)
    rig.assign(rig.task(1, 7, options=options), rig.task(2, 7), objects=[blob(7)])
    return rig


def test_an_attempt_that_found_its_input_damaged_goes_again():
    rig = two_readers()
    lost = ev.ObjectLost(ID(1, 7), "gone")
    assert rig.step(lost, ev.ExecutorResults(1, [damaged(rig, 1, 7)])) == ["> lost 1/7", "> 1/1 cannot have 1/7"]


def test_what_the_store_still_has_is_tried_again_but_not_for_ever():
    rig = Rig()
    rig.assign(rig.task(1, 7), objects=[blob(7)])
    for number in range(2, 7):
        assert rig.step(ev.ExecutorResults(1, [damaged(rig, 1)])) == [f"run e1: 1/1#{number}"]
    assert rig.step(ev.ExecutorResults(1, [damaged(rig, 1)])) == ["> failed 1/1 input"]


def test_who_had_it_alone_has_done_it():
    rig = Rig(cpus=2)
    rig.assign(rig.task(1, 7), rig.task(2), objects=[blob(7)])
    lost = ev.ObjectLost(ID(1, 7), "changed")
    result = damaged(rig, 1, 7, ran=True, suspect=True)
    assert rig.step(lost, ev.ExecutorResults(1, [result])) == ["> failed 1/1 input", "> lost 1/7"]
    assert rig.said(m.Finished)[0].results[0].damage is None


def test_all_that_had_it_are_named_and_charged():
    rig = two_readers()
    lost = ev.ObjectLost(ID(1, 7), "changed")
    first, second = (damaged(rig, n, 7, ran=True, suspect=True) for n in (1, 2))
    assert rig.step(lost, ev.ExecutorResults(1, [first])) == ["> failed 1/1 crash", "> lost 1/7"]
    assert rig.step(ev.ExecutorResults(2, [second])) == ["> failed 1/2 crash"]
    for result in (first, second):
        assert "1/1, 1/2" in result.error.message
        assert result.info.error == result.error.message


def test_what_may_run_once_does_not_run_again():
    rig = two_readers(TaskOptions(rerun="never"))
    lost = ev.ObjectLost(ID(1, 7), "gone")
    assert "> failed 1/1 input" in rig.step(lost, ev.ExecutorResults(1, [damaged(rig, 1, 7, ran=True)]))


def test_a_builtin_task_goes_again():
    rig = Rig()
    rig.assign(rig.task(1, 7, kind="builtin/concat"), objects=[blob(7)])
    [number] = [effect.number for effect in rig.last if hasattr(effect, "number")]
    lost = ev.ObjectLost(ID(1, 7), "gone")
    assert rig.step(lost, ev.BuiltinEnded(number, damaged(rig, 1, 7))) == ["> lost 1/7", "> 1/1 cannot have 1/7"]


def test_a_builtin_task_goes_again_if_the_store_knows_of_no_damage():
    rig = Rig()
    rig.assign(rig.task(1, 7, kind="builtin/concat"), objects=[blob(7)])
    assert rig.step(ev.BuiltinEnded(1, damaged(rig, 1))) == ["builtin b2: 1/1", "> started 1/1"]
