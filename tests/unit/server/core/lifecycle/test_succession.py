"""A governor died and another one has its store: what it held is there again, and is not made again."""

from __future__ import annotations

from rain.common.ids import ID
from rain.common.limits import GOVERNOR_RETURN_S, STORE_KEPT_S
from rain.common.protocol import messages as m
from rain.common.spec import TaskSpec
from rain.server.core import events as ev
from tests.unit.server.rig import LARGE, Rig


def register(rig: Rig, name: str, store: str, *before: str, returns_s: float = GOVERNOR_RETURN_S) -> None:
    said = m.Register(name, "host", {"cpus": 2.0}, [], "3.11", "", store, list(before), returns_s)
    for dead in rig.core.predecessors(said):
        rig.gone(dead)
    rig.step(ev.GovernorJoined(name, said))


def took_over(rig: Rig, name: str, *ids: ID, checksum: int | None = 99, more: bool = False) -> None:
    rig.says(name, m.TookOver([m.KeptObject(id, LARGE, checksum) for id in ids], more))


def one_that_died(text: str = "made", keep: str = "made", **fields: float) -> tuple[Rig, list[TaskSpec]]:
    """A governor has made large objects, and died."""
    rig = Rig()
    register(rig, "g1", "s1", **fields)
    tasks = rig.graph(text, keep)
    for task in tasks:
        rig.turn()
        if rig.state(task) == "ready":
            rig.finish(task, large=True)
    rig.turn()
    rig.told("g1", m.Assign)
    rig.gone("g1")
    return rig, tasks


def test_what_was_kept_is_there_again_and_not_made_again() -> None:
    rig, [task] = one_that_died()
    assert rig.state(task.outputs[0]) == "unfinished"
    register(rig, "g2", "s2", "s1")
    took_over(rig, "g2", task.outputs[0])
    rig.turn()
    assert rig.state(task.outputs[0]) == "finished"
    assert rig.state(task) == "finished"
    assert not rig.told("g2", m.Assign)
    [place] = rig.core.object_data(task.outputs[0]).location.replicas
    assert (place.address, place.file) == ("g2", None), "its bytes have not been compared yet"


def test_it_is_awaited_for_a_while_where_its_host_starts_another_one() -> None:
    rig, [task] = one_that_died()
    rig.governor("other")
    rig.step(ev.Tick())
    rig.turn()
    assert not rig.told("other", m.Assign)
    answer = rig.ask(m.Explain, task.id)
    assert "governor g1, which died" in answer.values["text"]
    rig.now += GOVERNOR_RETURN_S
    rig.step(ev.Tick())
    rig.turn()
    assert rig.where(task) == ("other", 2)


def test_an_earlier_wait_does_not_shorten_a_later_one() -> None:
    rig, [task] = one_that_died()
    register(rig, "g2", "s2", "s1")
    took_over(rig, "g2", task.outputs[0])
    rig.governor("other")
    rig.now += GOVERNOR_RETURN_S - 1
    rig.gone("g2")
    rig.now += 2
    rig.step(ev.Tick())
    rig.turn()
    assert rig.assigned("other") == {"other": []}
    rig.now += GOVERNOR_RETURN_S
    rig.step(ev.Tick())
    rig.turn()
    assert rig.assigned("other") == {"other": [task.id]}


def test_nobody_waits_where_the_host_starts_none() -> None:
    rig, [task] = one_that_died(returns_s=0.0)
    rig.governor("other")
    rig.turn()
    assert rig.where(task) == ("other", 2)


def test_what_is_made_again_is_withdrawn_when_it_is_back() -> None:
    rig, [task] = one_that_died(returns_s=0.0)
    rig.governor("other")
    rig.turn()
    rig.start(task)
    before = rig.core.state.graph.task(task.id).info
    register(rig, "g2", "s2", "s1")
    took_over(rig, "g2", task.outputs[0])
    rig.turn()
    assert rig.told("other", m.CancelTasks)[0].tasks == [(task.id, 2)]
    assert rig.state(task) == "finished"
    after = rig.core.state.graph.task(task.id).info
    assert before.duration is None
    assert after.duration == 0.01, "what is told of its run is told of the run that made it"


def test_what_has_been_made_again_is_not_taken_back() -> None:
    """It may be another value."""
    rig, [task] = one_that_died(returns_s=0.0)
    rig.governor("other")
    rig.turn()
    rig.finish(task, large=True)
    register(rig, "g2", "s2", "s1")
    took_over(rig, "g2", task.outputs[0])
    rig.turn()
    assert rig.told("g2", m.DropObjects)[0].objects == [task.outputs[0]]
    rig.says("g2", m.Dropped([task.outputs[0]]))
    rig.gone("other")
    assert rig.state(task.outputs[0]) == "unfinished"


def test_what_is_not_back_is_made_again_at_once() -> None:
    rig, [first, second] = one_that_died("first; second", "first second")
    register(rig, "g2", "s2", "s1")
    took_over(rig, "g2", more=True)
    rig.turn()
    assert rig.assigned("g2") == {"g2": []}
    took_over(rig, "g2", second.outputs[0])
    rig.turn()
    assert rig.assigned("g2") == {"g2": [first.id]}


def test_a_chain_is_made_again_from_what_is_back() -> None:
    rig, [first, second, third] = one_that_died("first -> second -> third", "third")
    assert rig.state(third) == "waiting"
    register(rig, "g2", "s2", "s1")
    took_over(rig, "g2", second.outputs[0])  # dropped before the death: nobody needed it any more
    rig.turn()
    assert rig.told("g2", m.DropObjects)[0].objects == [second.outputs[0]]
    assert rig.assigned("g2") == {"g2": [first.id, second.id, third.id]}


def test_consumers_that_wait_for_it_go_on() -> None:
    rig = Rig()
    register(rig, "g1", "s1")
    made, user = rig.graph("made -> user", "made")
    rig.turn()
    rig.finish(made, large=True)
    rig.turn()
    rig.start(user)
    rig.gone("g1")
    assert rig.state(user) == "waiting"
    register(rig, "g2", "s2", "s1")
    took_over(rig, "g2", made.outputs[0])
    rig.turn()
    assert rig.assigned("g2") == {"g2": [user.id]}, "only what ran there runs again"
    assert [task.attempt for _, task in rig.given.values() if task.spec.id == user.id] == [1, 2]


def test_what_failed_tasks_hold_is_back_too() -> None:
    rig = Rig()
    register(rig, "g1", "s1")
    made, user = rig.graph("made -> user")
    rig.turn()
    rig.finish(made, large=True)
    rig.turn()
    rig.fail(user)
    rig.gone("g1")
    assert rig.state(made.outputs[0]) == "removed"
    register(rig, "g2", "s2", "s1")
    took_over(rig, "g2", made.outputs[0])
    assert rig.state(made.outputs[0]) == "finished"
    rig.ask(m.Retry, rig.session, [user.id], [], [], [])
    rig.turn()
    assert rig.assigned("g2") == {"g2": [user.id]}


def test_another_value_is_not_taken() -> None:
    rig, [task] = one_that_died()
    register(rig, "g2", "s2", "s1")
    took_over(rig, "g2", task.outputs[0], checksum=98)
    rig.turn()
    assert rig.told("g2", m.DropObjects)[0].objects == [task.outputs[0]]
    assert rig.assigned("g2") == {"g2": [task.id]}


def test_what_no_governor_of_this_server_had_is_dropped() -> None:
    """The store was another cluster's, whose ids are the same."""
    rig, [task] = one_that_died(returns_s=0.0)
    register(rig, "g2", "s2", "another")
    took_over(rig, "g2", task.outputs[0])
    rig.turn()
    assert rig.told("g2", m.DropObjects)[0].objects == [task.outputs[0]]


def test_what_is_left_of_sessions_that_ended_goes() -> None:
    rig, [task] = one_that_died()
    rig.ask(m.CloseSession, rig.session)
    register(rig, "g2", "s2", "s1")
    took_over(rig, "g2", task.outputs[0], ID(77, 3))
    rig.turn()
    assert [said.session_id for said in rig.told("g2", m.EndSession)] == [rig.session, 77]


def test_a_governor_is_dead_when_another_one_has_its_store() -> None:
    rig = Rig()
    register(rig, "g1", "s1")
    [task] = rig.graph("made", "made")
    rig.turn()
    rig.finish(task, large=True)
    register(rig, "g2", "s2", "s1")
    took_over(rig, "g2", task.outputs[0])
    assert list(rig.core.state.graph.governors) == ["g2"]
    assert rig.state(task.outputs[0]) == "finished"


def test_a_copy_elsewhere_is_enough_and_one_more_is_taken() -> None:
    rig = Rig()
    register(rig, "g1", "s1")
    made, _user = rig.graph("made -> user[gpus=1]", "made")
    rig.governor("other", gpus=1)
    rig.turn()
    rig.finish(made, large=True)
    rig.turn()
    rig.says("other", m.Fetched([made.outputs[0]]))
    rig.gone("g1")
    assert rig.state(made.outputs[0]) == "finished"
    register(rig, "g2", "s2", "s1")
    took_over(rig, "g2", made.outputs[0])
    places = rig.core.object_data(made.outputs[0]).location.replicas
    assert [place.address for place in places] == ["other", "g2"]


def test_an_absence_is_forgotten() -> None:
    rig, _ = one_that_died()
    assert rig.core.state.absences
    rig.now += 2 * STORE_KEPT_S
    rig.step(ev.Tick())
    assert not rig.core.state.absences
