"""Scenarios: a governor has what one that died had kept."""

from __future__ import annotations

from rain.common.ids import ID
from rain.common.location import LocalFile
from rain.common.protocol import messages as m
from rain.common.spec import ObjectInfo, ObjectSpec, TaskError
from rain.governor.core import effects as fx
from rain.governor.core import events as ev
from rain.governor.core.given_up import returning
from tests.unit.governor.core.rig import Rig, blob

FILE = LocalFile("/store/1", 1, 8, 0, 5)


def inherits(rig: Rig, *numbers: int) -> list[str]:
    known = [fx.Known(ObjectSpec(ID(1, n)), ObjectInfo(size=8)) for n in numbers]
    return rig.step(ev.Inherited([ev.Heirloom(each, 8, 5) for each in known]))


def test_the_server_is_told_of_it_also_if_there_is_nothing(monkeypatch):
    assert inherits(Rig()) == ["> took over "]
    rig = Rig()
    assert inherits(rig, 5, 6) == ["> took over 1/5 1/6"]
    assert rig.said(m.TookOver)[0].objects[0] == m.KeptObject(ID(1, 5), 8, 5)
    monkeypatch.setattr(returning, "TOLD_COUNT_MAX", 2)
    assert inherits(Rig(), 5, 6, 7) == ["> took over 1/5 1/6, and more", "> took over 1/7"]


def test_it_is_read_before_a_task_gets_it():
    rig = Rig()
    inherits(rig, 5)
    assert rig.assign(rig.task(1, 5)) == ["fetch 1/5"]
    lines = rig.step(ev.ObjectMoved(ID(1, 5), FILE), ev.FetchDone(ID(1, 5)))
    assert lines == ["start e1 py", "run e1: 1/1#1", "> fetched 1/5", "> moved 1/5"]


def test_a_damaged_one_is_lost():
    rig = Rig()
    inherits(rig, 5)
    rig.assign(rig.task(1, 5))
    lines = rig.step(ev.ObjectLost(ID(1, 5), "damaged"), ev.FetchFailed(ID(1, 5), "it is nowhere"))
    assert lines == ["> lost 1/5", "> 1/1 cannot have 1/5"]
    rig = Rig()
    inherits(rig, 5)
    assert rig.step(ev.ObjectLost(ID(1, 5), "damaged")) == ["> lost 1/5"]
    assert rig.core.load()["objects"] == 0


def test_one_that_could_not_be_read_is_lost_too():
    rig = Rig()
    inherits(rig, 5)
    rig.assign(rig.task(1, 5))
    assert rig.step(ev.FetchFailed(ID(1, 5), "it is gone")) == ["delete 1/5", "> lost 1/5", "> 1/1 cannot have 1/5"]


def test_what_others_read_need_not_be_read_again():
    rig = Rig()
    inherits(rig, 5)
    assert rig.step(ev.ObjectMoved(ID(1, 5), FILE)) == ["> moved 1/5"]
    assert rig.assign(rig.task(1, 5)) == ["start e1 py", "run e1: 1/1#1"]


def test_it_goes_when_the_server_says_so():
    rig = Rig()
    inherits(rig, 5, 6)
    assert rig.drop(5) == ["delete 1/5", "> dropped 1/5"]
    rig.assign(rig.task(1, 6))
    assert rig.server(m.EndSession(1)) == ["cancel fetch 1/6", "delete session 1", "> session 1 ended"]


def test_what_the_server_gives_takes_its_place():
    """It does not count on what was taken over, which may be an earlier value."""
    rig = Rig()
    inherits(rig, 5, 6)
    assert rig.assign(rig.task(1, 5), objects=[blob(5)]) == ["delete 1/5", "put 1/5", "start e1 py", "run e1: 1/1#1"]
    assert rig.assign(rig.task(2, 6), objects=[blob(6, None)]) == ["delete 1/6", "fetch 1/6"]


def test_what_is_made_again_here_takes_its_place():
    rig = Rig()
    inherits(rig, 10)
    rig.assign(rig.task(1))
    assert "> finished 1/1" in rig.results(1, 1)
    assert rig.assign(rig.task(2, 10)) == ["run e1: 1/2#2"]


def test_what_cannot_be_it_takes_its_place_too():
    rig = Rig()
    inherits(rig, 10)
    rig.assign(rig.task(1))
    result = rig.result(1)
    result.error = TaskError("refused", "not that")
    assert "> failed 1/1 refused" in rig.step(ev.ExecutorResults(1, [result]))
    assert rig.drop(10) == ["delete 1/10", "> dropped 1/10"]


def test_what_lies_in_files_is_noted_before_it_is_reported():
    rig = Rig()
    rig.assign(rig.task(1), rig.task(2, 5), objects=[blob(5, None)])
    result = rig.result(1)
    result.outputs[0].location = FILE
    rig.step(ev.ExecutorResults(1, [result]))
    noted = [isinstance(effect, fx.NoteObject) for effect in rig.last]
    assert noted.index(True) < [isinstance(effect, fx.ToServer) for effect in rig.last].index(True)
    assert rig.last[noted.index(True)].known.spec.id == ID(1, 10)
    rig.step(ev.FetchDone(ID(1, 5)))
    assert [effect.known.spec.id for effect in rig.last if isinstance(effect, fx.NoteObject)] == [ID(1, 5)]


def test_small_results_need_no_note():
    rig = Rig()
    rig.assign(rig.task(1))
    rig.results(1, 1)
    assert not [effect for effect in rig.effects if isinstance(effect, fx.NoteObject)]
