"""Governors that leave on purpose: nothing new goes there, what only they hold goes elsewhere, nobody is charged."""

from __future__ import annotations

import pytest

from rain.common.limits import CRASHES_MAX
from rain.common.protocol import messages as m
from rain.server.core.events import Tick
from rain.server.core.lifecycle.departure import COPIES_MAX
from tests.unit.server.rig import Rig


def _two() -> Rig:
    """Governor g1 has work and g2 comes after that."""
    rig = Rig()
    rig.governor("g1", cpus=1)
    return rig


def _told(rig: Rig, name: str, kind: type) -> list[m.Message]:
    return [message for message in rig.to_governor.get(name, ()) if isinstance(message, kind)]


def _leaves(rig: Rig, name: str, *, patient: bool = False) -> None:
    rig.says(name, m.Draining("SIGTERM", 20.0, patient))
    rig.turn()


def test_a_governor_that_leaves_gets_nothing_new_and_is_let_go_when_it_has_nothing() -> None:
    rig = _two()
    running = rig.task()
    rig.submit(running)
    rig.turn()
    rig.start(running)
    rig.governor("g2", cpus=1)
    _leaves(rig, "g1")
    more = [rig.task() for _ in range(3)]
    rig.submit(*more)
    rig.turn()
    assert all(rig.where(task)[0] == "g2" for task in more[:1])
    assert not _told(rig, "g1", m.Dismiss)
    rig.finish(running)
    rig.turn()
    assert len(_told(rig, "g1", m.Dismiss)) == 1
    rig.gone("g1")
    assert rig.state(running) == "finished"


def test_what_has_not_begun_goes_elsewhere_and_counts_as_never_tried() -> None:
    rig = _two()
    task = rig.task()
    rig.submit(task)
    rig.turn()
    _leaves(rig, "g1")
    rig.governor("g2", cpus=1)
    rig.says("g1", m.GaveBack([(task.id, 1)]))
    rig.turn()
    assert rig.where(task) == ("g2", 1)
    assert _told(rig, "g1", m.Dismiss)


def test_kept_objects_are_copied_first_and_then_what_tasks_need() -> None:
    rig = _two()
    needed, kept = rig.task(), rig.task()
    rig.ask(m.ExpectGovernors, 3)
    rig.submit(needed, kept, rig.task(needed.outputs[0], resources={"gpus": 1.0}), keep=list(kept.outputs))
    rig.turn()
    rig.finish(needed, kept, large=True)
    rig.governor("g2", cpus=1)
    _leaves(rig, "g1")
    (order,) = _told(rig, "g2", m.CopyObjects)
    assert [data.spec.id for data in order.objects] == [kept.outputs[0], needed.outputs[0]]
    rig.says("g2", m.Fetched([kept.outputs[0]]))
    rig.turn()
    assert not _told(rig, "g1", m.Dismiss)
    rig.says("g2", m.Fetched([needed.outputs[0]]))
    rig.turn()
    assert _told(rig, "g1", m.Dismiss)
    rig.gone("g1")
    assert rig.state(kept) == "finished"
    assert rig.core.object_data(kept.outputs[0]).location.replicas[0].address == "g2"


def test_what_is_made_while_leaving_is_copied_too() -> None:
    rig = _two()
    task = rig.task()
    rig.submit(task, keep=list(task.outputs))
    rig.turn()
    rig.governor("g2", cpus=1)
    _leaves(rig, "g1")
    rig.finish(task, large=True)
    rig.turn()
    assert not _told(rig, "g1", m.Dismiss)
    (order,) = _told(rig, "g2", m.CopyObjects)
    assert order.objects[0].spec.id == task.outputs[0]


def test_a_copy_that_fails_is_tried_again_after_a_pause_and_nothing_is_made_again() -> None:
    rig = _two()
    task = rig.task()
    rig.submit(task, keep=list(task.outputs))
    rig.turn()
    rig.finish(task, large=True)
    rig.governor("g2", cpus=1)
    _leaves(rig, "g1")
    for count in range(1, 8):
        assert len(_told(rig, "g2", m.CopyObjects)) == count
        rig.says("g2", m.NotCopied(list(task.outputs), "no route"))
        rig.turn()
        assert len(_told(rig, "g2", m.CopyObjects)) == count
        rig.now += 6
        rig.step(Tick())
        rig.turn()
    assert rig.state(task) == "finished"
    assert not _told(rig, "g1", m.Dismiss)


def test_copies_are_spread_and_only_so_many_are_under_way() -> None:
    rig = Rig()
    rig.governor("g1", cpus=1)
    tasks = [rig.task() for _ in range(3 * COPIES_MAX)]
    rig.submit(*tasks, keep=[task.outputs[0] for task in tasks])
    while any(rig.state(task) != "finished" for task in tasks):
        rig.turn()
        rig.finish(*(task for task in tasks if rig.state(task) == "ready" and (task.id, 1) in rig.given), large=True)
    rig.governor("g2", cpus=1)
    rig.governor("g3", cpus=1)
    _leaves(rig, "g1")
    orders = {name: _told(rig, name, m.CopyObjects) for name in ("g2", "g3")}
    assert [sum(len(order.objects) for order in found) for found in orders.values()] == [COPIES_MAX, COPIES_MAX]


@pytest.mark.parametrize("patient", [False, True])
def test_without_another_governor_it_goes_unless_a_user_asked_it_to(patient: bool) -> None:
    rig = _two()
    task = rig.task()
    rig.submit(task, keep=list(task.outputs))
    rig.turn()
    rig.finish(task, large=True)
    _leaves(rig, "g1", patient=patient)
    assert bool(_told(rig, "g1", m.Dismiss)) is not patient
    rig.governor("g2", cpus=1)
    rig.turn()
    assert bool(_told(rig, "g2", m.CopyObjects)) is patient


def test_what_another_leaver_would_have_had_is_copied_when_that_is_lost() -> None:
    rig = _two()
    task = rig.task()
    rig.submit(task, keep=list(task.outputs))
    rig.turn()
    rig.finish(task, large=True)
    user = rig.task(task.outputs[0])
    rig.governor("g2", cpus=1)
    blocker = rig.task()
    rig.submit(blocker)
    rig.submit(user)
    rig.turn()
    rig.says("g2", m.Fetched(list(task.outputs)))
    rig.governor("g3", cpus=1)
    _leaves(rig, "g1")
    rig.gone("g2")
    rig.turn()
    copied = [data.spec.id for order in _told(rig, "g3", m.CopyObjects) for data in order.objects]
    assert copied in ([task.outputs[0]], []), "it is copied, unless a task has it fetched"


def test_departures_are_charged_to_no_task_however_often_and_however_they_end() -> None:
    rig = Rig()
    task = rig.task()
    rig.submit(task)
    for number in range(CRASHES_MAX + 2):
        name = rig.governor(f"g{number}", cpus=1)
        rig.turn()
        rig.start(task)
        _leaves(rig, name)
        if number % 2:  # it is killed in the middle
            rig.gone(name)
        else:
            rig.says(name, m.Stopped([(task.id, rig.where(task)[1])]))
            rig.turn()
            rig.gone(name)
        assert rig.state(task) == "ready"
    removed = [event.values for event in rig.happened if event.type == "GovernorRemoved"]
    assert [values["on_purpose"] for values in removed] == [True] * (CRASHES_MAX + 2)
    assert removed[0]["reason"] == "SIGTERM"


def test_a_task_that_may_run_once_fails_if_it_is_ended_by_a_departure() -> None:
    rig = _two()
    begun, waiting = rig.task(rerun="never"), rig.task(rerun="never")
    rig.submit(begun)
    rig.turn()
    rig.start(begun)
    _leaves(rig, "g1")
    rig.says("g1", m.Stopped([(begun.id, 1)]))
    assert rig.error(begun).kind == "lost"
    assert "because it leaves" in rig.error(begun).message
    rig.submit(waiting)
    rig.governor("g2", cpus=1)
    rig.turn()
    assert rig.where(waiting) == ("g2", 1)


def test_a_user_lets_governors_go() -> None:
    rig = Rig()
    rig.governor("g1")
    rig.governor("g2")
    refused = rig.ask(m.DrainGovernors, ["g1", "g7"], 60.0)
    assert refused.message == "governor g7 is not here; those here are: g1, g2"
    assert not _told(rig, "g1", m.Drain)
    assert isinstance(rig.ask(m.DrainGovernors, ["g1"], -1.0), m.Failed)
    assert isinstance(rig.ask(m.DrainGovernors, ["g1"], 60.0), m.Done)
    assert _told(rig, "g1", m.Drain)[0].within_s == 60.0
    rig.says("g1", m.Draining("a user asked it to", 60.0, True))
    info = rig.ask(m.GetServerInfo)
    assert [governor.leaves for governor in info.governors] == ["a user asked it to", ""]
    assert [governor.leaves for governor in rig.ask(m.GetServerInfo, True).governors] == ["a user asked it to", ""]


def test_where_all_governors_leave_it_is_said_why_nothing_runs() -> None:
    rig = _two()
    _leaves(rig, "g1", patient=True)
    task = rig.task()
    rig.submit(task)
    rig.turn()
    text = rig.ask(m.Explain, task.id).values["text"]
    assert "the governor here is leaving (g1: SIGTERM)" in text
    rig.says("g1", m.Finished([]))
    rig.gone("g1")
    text = rig.ask(m.Explain, task.id).values["text"]
    assert "(the last one, g1, left on purpose 0 s ago: SIGTERM)" in text
