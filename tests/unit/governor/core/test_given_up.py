"""Scenarios: the server has given up a governor that lives. What that runs goes on, and is told when it registers."""

from __future__ import annotations

from rain.common.ids import ID
from rain.common.location import LocalFile
from rain.common.protocol import messages as m
from rain.common.spec import ObjectInfo, ObjectSpec, TaskInfo, TaskOptions
from rain.governor.core import effects as fx
from rain.governor.core import events as ev
from tests.unit.governor.core.rig import FUNCTION, Rig, blob
from tests.unit.governor.core.test_families import FIRST, ended, family, told

FILE = LocalFile("/store/1", 1, 8, 0, 5)
ONCE = TaskOptions(rerun="never")


def given_up(rig: Rig, *unheard: m.TaskResult) -> list[str]:
    return rig.step(ev.ServerGone(False, m.Finished(list(unheard))))


def registers(rig: Rig, *numbers: int) -> list[str]:
    known = [fx.Known(ObjectSpec(ID(1, n)), ObjectInfo(size=8)) for n in numbers]
    return rig.step(ev.Inherited([ev.Heirloom(each, 8, 5) for each in known]))


def runs(rig: Rig, executor: int = 1, number: int = 1) -> list[str]:
    return rig.step(ev.ExecutorSeen(executor, number))


def test_what_runs_goes_on_and_what_stands_behind_it_is_forgotten() -> None:
    rig = Rig()
    rig.learn_short()
    rig.assign(rig.task(1, 5), rig.task(2), rig.task(3, 77), objects=[blob(5)])
    assert runs(rig, 1, 2) == ["> started 1/1"]
    assert given_up(rig) == ["keep what was noted and 1/5", "recall e1: #3"]
    assert registers(rig) == ["> took over , runs 1/1#1", "> started 1/1"]
    assert rig.step(ev.ExecutorRecalled(1, [3])) == [], "nobody wants it any more"
    assert rig.results(1, 1) == ["delete 1/5", "> finished 1/1"], "its input goes without a word"
    assert rig.assign(rig.task(4)) == ["run e1: 1/4#4"], "its executor is used again"


def test_what_was_cancelled_behind_what_runs_is_forgotten_too() -> None:
    rig = Rig()
    rig.learn_short()
    rig.assign(rig.task(1), rig.task(2))
    runs(rig, 1, 2)
    assert rig.cancel(2) == ["recall e1: #3"]
    assert given_up(rig) == ["keep what was noted"]
    assert registers(rig) == ["> took over , runs 1/1#1", "> started 1/1"]
    assert rig.step(ev.ExecutorRecalled(1, [3])) == [], "the server that cancelled it does not wait for an answer"
    assert rig.assign(rig.task(3)) == ["run e1: 1/3#4"]


def test_what_ends_before_it_has_registered_is_told_then() -> None:
    rig = Rig(cpus=2)
    rig.assign(rig.task(1), rig.task(2))
    assert given_up(rig) == ["keep what was noted"]
    assert rig.results(1, 1) == []
    assert registers(rig) == ["> took over , runs 1/2#1 1/1#1", "> finished 1/1"]


def test_what_the_server_had_not_heard_is_told_again() -> None:
    """Its output was noted; whether it stays is judged by the result."""
    rig = Rig()
    rig.assign(rig.task(1))
    rig.outputs[ID(1, 1)] = [ID(1, 10)]
    result = m.TaskResult(ID(1, 1), 1, TaskInfo(duration=1.0), [m.OutputResult(ID(1, 10), ObjectInfo(size=8), FILE)])
    assert rig.step(ev.ExecutorResults(1, [result])) == ["> finished 1/1"]
    assert given_up(rig, result) == ["kill e1", "keep what was noted and 1/10"]
    assert registers(rig, 10) == ["> took over 1/10, runs 1/1#1", "> finished 1/1"]
    assert rig.said(m.TookOver)[0].objects == [m.KeptObject(ID(1, 10), 8, 5, follows=True)]
    assert rig.assign(rig.task(2, 10))[-1] == "run e2: 1/2#1", "it is here, and was read before"


def test_what_members_made_unheard_is_told_again_in_columns_and_held_nowhere() -> None:
    rig = Rig()
    rig.server(m.Assign([], [], [family(2)]))
    assert "> columns 1/10" in ended(rig, FIRST, 1)
    assert "> columns 1/12" in ended(rig, FIRST + 2, 1)
    assert rig.step(ev.ServerGone(False, m.Finished([], [told(FIRST, 2)]))) == ["kill e1", "keep what was noted"]
    assert registers(rig) == ["> took over , runs 1/10#1 1/12#1", "> columns 1/10 1/12"]


def test_what_was_lost_before_the_server_heard_of_it_is_told_as_lost() -> None:
    rig = Rig()
    rig.assign(rig.task(1))
    rig.outputs[ID(1, 1)] = [ID(1, 10)]
    result = m.TaskResult(ID(1, 1), 1, TaskInfo(duration=1.0), [m.OutputResult(ID(1, 10), ObjectInfo(size=8), FILE)])
    rig.step(ev.ExecutorResults(1, [result]))
    assert rig.step(ev.ObjectLost(ID(1, 10), "its checksum is wrong")) == ["> lost 1/10"]
    given_up(rig, result)
    assert registers(rig) == ["> took over , runs 1/1#1", "> finished 1/1", "> lost 1/10"]


def test_where_others_may_have_it_by_now_only_what_may_run_once_goes_on() -> None:
    rig = Rig(cpus=2)
    rig.assign(rig.task(1), rig.task(2, options=ONCE))
    assert rig.step(ev.ServerGone(True)) == ["kill e1", "keep what was noted"]
    assert registers(rig) == ["> took over , runs 1/2#1"]


def test_what_the_server_does_not_want_it_ends() -> None:
    rig = Rig()
    rig.assign(rig.task(1))
    runs(rig)
    given_up(rig)
    registers(rig)
    assert rig.cancel(1) == ["interrupt e1 #1"]
    assert rig.fails(1, 1, "cancelled") == ["kill e1"]
    assert rig.step(ev.ExecutorExited(1, "was killed")) == ["> stopped 1/1"]


def test_an_input_that_is_given_again_stays() -> None:
    rig = Rig()
    rig.assign(rig.task(1, 5), objects=[blob(5)])
    given_up(rig)
    registers(rig)
    assert rig.assign(rig.task(2, 5), objects=[blob(5, None)]) == ["> fetched 1/5"]
    assert rig.results(1, 1) == ["run e1: 1/2#2", "> finished 1/1"]


def test_an_input_that_went_and_is_given_again_in_one_turn_is_there() -> None:
    rig = Rig()
    rig.assign(rig.task(1, 5), objects=[blob(5)])
    given_up(rig)
    registers(rig)
    lines = rig.step(ev.ExecutorExited(1, "was killed", 1), ev.ServerSaid(m.Assign([rig.task(2, 5)], [blob(5)])))
    assert lines[:2] == ["delete 1/5", "put 1/5"]


def test_sources_that_it_waits_for_are_asked_for_again() -> None:
    rig = Rig()
    rig.assign(rig.task(1))
    rig.step(ev.ModuleWanted(1, "helpers"))
    given_up(rig)
    assert registers(rig) == ["> took over , runs 1/1#1", "> wants helpers of session 1"]


def test_a_session_that_has_ended_goes() -> None:
    rig = Rig()
    rig.assign(rig.task(1))
    given_up(rig)
    registers(rig)
    assert rig.server(m.EndSession(1)) == ["kill e1"]


def test_of_what_runs_on_several_governors_nothing_goes_on() -> None:
    rig = Rig()
    rig.assign(m.TaskAssignment(rig.task(1).spec, 1, [], [], nodes=["10.0.0.1:1"]))
    assert given_up(rig) == ["kill e1", "keep what was noted"]


def test_a_governor_that_leaves_takes_nothing_along() -> None:
    rig = Rig()
    rig.assign(rig.task(1))
    rig.step(ev.LeaveAsked("SIGTERM", 10.0))
    assert "kill e1" in given_up(rig)


def test_members_of_one_family_go_on_in_several_executors() -> None:
    """They have their inputs in common."""
    rig = Rig(cpus=2)
    spec = rig.task(20, function=FUNCTION).spec
    spec.config = [b""]
    family = m.FamilyAssignment(spec, 1, [ObjectSpec(ID(1, 21))], [b"a", b"b", b"c"], [0.0, 0.0], [])
    rig.server(m.Assign([], [blob(FUNCTION)], [family]))
    given_up(rig)
    assert registers(rig) == ["> took over , runs 1/20#1 1/22#1"]
    rig.core.check()
