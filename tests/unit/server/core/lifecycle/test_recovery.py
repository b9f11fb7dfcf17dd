"""Governors are lost, copies are lost: what is needed comes back, what is not does not."""

from __future__ import annotations

from rain.common.limits import CRASHES_MAX
from rain.common.location import LocalFile, Upload
from rain.common.protocol import messages as m
from rain.server.core.events import Tick
from rain.server.core.lifecycle.recovery import MISSES_BEFORE_REMAKE, MISSES_MAX
from tests.unit.server.rig import Rig


def test_unfinished_tasks_of_a_lost_governor_go_again() -> None:
    rig = Rig()
    rig.governor("g1", cpus=1)
    task = rig.task()
    rig.submit(task)
    rig.turn()
    rig.gone("g1")
    assert rig.state(task) == "ready"
    rig.governor("g2")
    rig.turn()
    assert rig.where(task) == ("g2", 2)


def test_only_what_was_seen_running_is_charged() -> None:
    rig = Rig()
    running, ahead = rig.task(), rig.task()
    rig.submit(running, ahead)
    for number in range(CRASHES_MAX):
        name = rig.governor(f"g{number}", cpus=1)
        rig.turn()
        rig.start(running)
        rig.gone(name)
    assert rig.state(running) == "failed"
    assert "running on governor g2" in rig.error(running).message
    assert rig.state(ahead) == "ready"


def test_a_task_that_may_run_once_fails_with_its_governor() -> None:
    rig = Rig()
    rig.governor("g1")
    task = rig.task(rerun="never")
    rig.submit(task)
    rig.turn()
    rig.gone("g1")
    assert rig.error(task).kind == "lost"


def test_such_tasks_are_not_given_ahead_of_time() -> None:
    rig = Rig()
    rig.governor("g1", cpus=1)
    tasks = [rig.task(rerun="never") for _ in range(3)]
    rig.submit(*tasks)
    rig.turn()
    assert rig.assigned() == {"g1": [tasks[0].id]}


def test_a_lost_object_is_made_again_with_all_that_it_takes() -> None:
    rig = Rig()
    rig.governor("g1")
    first, second = rig.graph("first -> second", keep="second")
    rig.turn()
    rig.finish(first, large=True)
    rig.turn()
    rig.finish(second, large=True)
    rig.turn()
    assert rig.state(first.outputs[0]) == "removed"
    rig.news()
    rig.gone("g1")
    assert rig.state(second.outputs[0]) == "unfinished"
    rig.governor("g2")
    rig.turn()
    tasks, objects = rig.news()
    assert tasks == {first.id: "ready", second.id: "waiting"}
    assert objects == {first.outputs[0]: "unfinished", second.outputs[0]: "unfinished"}
    rig.finish(first, large=True)
    rig.turn()
    rig.finish(second, large=True)
    rig.turn()
    assert rig.state(second.outputs[0]) == "finished"
    assert rig.state(first.outputs[0]) == "removed"


def test_small_kept_results_survive_any_governor() -> None:
    rig = Rig()
    rig.governor("g1")
    task = rig.task()
    rig.submit(task, keep=task.outputs)
    rig.turn()
    rig.finish(task)
    rig.gone("g1")
    assert rig.state(task.outputs[0]) == "finished"
    assert not rig.core.state.graph.sessions[rig.session].tasks, "its task need not be remembered"


def test_another_copy_is_enough() -> None:
    rig = Rig()
    rig.governor("g1", cpus=1)
    rig.governor("g2", cpus=2)
    first, _second = rig.graph("first[cpus=2.0] -> second[cpus=2.0]", keep="first")
    rig.turn()
    rig.finish(first, large=True)
    third = rig.task(first.outputs[0], resources={"cpus": 1.0, "gpus": 1.0})
    rig.governor("g3", cpus=1, gpus=1)
    rig.submit(third)
    rig.turn()
    assert rig.where(third)[0] == "g3"
    rig.says("g3", m.Fetched(first.outputs))
    rig.gone("g2")
    assert rig.state(first.outputs[0]) == "finished"
    rig.gone("g3")
    assert rig.state(first.outputs[0]) == "unfinished"


def test_lineage_is_released_with_what_it_is_for() -> None:
    rig = Rig()
    rig.governor("g1")
    chain = [rig.task()]
    for _ in range(20):
        chain.append(rig.task(chain[-1].outputs[0]))
    rig.submit(*chain, keep=chain[-1].outputs)
    for task in chain:
        rig.turn()
        rig.finish(task, large=True)
    session = rig.core.state.graph.sessions[rig.session]
    assert len(session.tasks) == len(chain), "all of it may have to run again"
    rig.ask(m.Unkeep, rig.session, chain[-1].outputs)
    assert not session.tasks
    assert not session.objects


def test_small_objects_cut_lineage() -> None:
    rig = Rig()
    rig.governor("g1")
    first, second = rig.graph("first -> second", keep="second")
    rig.turn()
    rig.finish(first, value=b"tiny")
    rig.turn()
    rig.finish(second, large=True)
    session = rig.core.state.graph.sessions[rig.session]
    assert list(session.tasks) == [second.id.id]
    rig.gone("g1")
    rig.governor("g2")
    rig.turn()
    assert rig.told("g2", m.Assign)[0].objects[0].location.data == b"tiny"


def test_what_is_being_made_again_is_given_up_when_nobody_wants_it() -> None:
    rig = Rig()
    rig.governor("g1")
    first, second = rig.graph("first -> second", keep="second")
    rig.turn()
    rig.finish(first, large=True)
    rig.turn()
    rig.finish(second, large=True)
    rig.gone("g1")
    rig.ask(m.Unkeep, rig.session, second.outputs)
    assert rig.state(second) == "finished"
    assert rig.state(first) == "finished"
    rig.governor("g2")
    rig.turn()
    assert rig.assigned() == {"g2": []}


def test_what_may_run_once_is_not_made_again() -> None:
    rig = Rig()
    rig.governor("g1")
    first = rig.task(rerun="never")
    second = rig.task(first.outputs[0])
    rig.submit(first, keep=first.outputs)
    rig.turn()
    rig.finish(first, large=True)
    rig.submit(second)
    rig.gone("g1")
    assert rig.error(first).kind == "lost"
    assert rig.error(second).kind == "dependency"
    assert rig.state(first.outputs[0]) == "failed"


def test_consumers_elsewhere_are_told_of_the_new_place() -> None:
    rig = Rig()
    rig.governor("g1", cpus=2)
    rig.governor("g2", cpus=1, gpus=1)
    first, second = rig.graph("first[cpus=2.0] -> second[gpus=1.0]")
    rig.turn()
    rig.finish(first, large=True)
    rig.turn()
    assert rig.where(second) == ("g2", 1)
    rig.gone("g1")
    rig.governor("g3", cpus=2)
    rig.turn()
    rig.told("g2", m.Assign)
    rig.finish(first, large=True)
    rig.turn()
    resent = rig.told("g2", m.Assign)
    assert [data.location.replicas[0].address for message in resent for data in message.objects] == ["g3"]
    assert rig.where(second) == ("g2", 1)


def test_what_waits_for_a_lost_input_leaves_room_for_its_maker() -> None:
    rig = Rig()
    rig.governor("g1", cpus=1)
    first, second = rig.graph("first -> second")
    rig.turn()
    rig.finish(first, large=True, seconds=10.0)
    rig.turn()
    assert rig.assigned()["g1"] == [second.id]
    rig.says("g1", m.ObjectsLost(first.outputs, "wrong checksum"))
    rig.turn()
    assert rig.where(first) == ("g1", 2)


def _stuck_fetch(rig: Rig) -> tuple[m.TaskSpec, m.TaskSpec]:
    rig.governor("g1", cpus=2)
    rig.governor("g2", cpus=1, gpus=1)
    first, second = rig.graph("first[cpus=2.0] -> second[gpus=1.0]")
    rig.turn()
    rig.finish(first, large=True)
    rig.turn()
    return first, second


def _misses(rig: Rig, first: m.TaskSpec, second: m.TaskSpec) -> None:
    attempt = rig.where(second)[1]
    rig.says("g2", m.InputsMissing([(second.id, attempt)], first.outputs, "connection refused"))
    for _ in range(6):
        rig.now += 1.0
        rig.step(Tick())
        rig.turn()


def test_what_cannot_be_fetched_is_tried_again_then_made_again() -> None:
    rig = Rig()
    first, second = _stuck_fetch(rig)
    for _ in range(MISSES_BEFORE_REMAKE - 1):
        _misses(rig, first, second)
        assert rig.state(first) == "finished"
        assert rig.where(second)[0] == "g2"
    _misses(rig, first, second)
    assert rig.state(first) == "ready"
    rig.finish(first, large=True)
    rig.turn()
    for _ in range(MISSES_MAX - MISSES_BEFORE_REMAKE):
        assert rig.state(second) == "ready"
        _misses(rig, first, second)
    assert rig.error(second).kind == "input"
    assert "connection refused" in rig.error(second).message


def test_a_damaged_copy_is_made_again() -> None:
    rig = Rig()
    rig.governor("g1")
    task = rig.task()
    rig.submit(task, keep=task.outputs)
    rig.turn()
    rig.finish(task, large=True)
    rig.says("g1", m.ObjectsLost(task.outputs, "wrong checksum"))
    rig.turn()
    assert rig.where(task) == ("g1", 2)
    rig.finish(task, large=True)
    assert rig.state(task.outputs[0]) == "finished"


def test_what_is_damaged_again_and_again_is_given_up() -> None:
    rig = Rig()
    rig.governor("g1")
    task = rig.task()
    rig.submit(task, keep=task.outputs)
    rig.turn()
    for _ in range(MISSES_MAX):
        assert rig.state(task) != "failed"
        rig.finish(task, large=True)
        rig.says("g1", m.ObjectsLost(task.outputs, "its file was changed"))
        rig.turn()
    assert rig.error(task).kind == "lost"
    assert "its file was changed" in rig.error(task).message


def test_word_of_a_dropped_copy_is_ignored() -> None:
    rig = Rig()
    rig.governor("g1", cpus=2)
    rig.governor("g2", gpus=1, cpus=1)
    first, second = rig.graph("first[cpus=2.0] -> second[gpus=1.0]")
    rig.turn()
    rig.finish(first, large=True)
    rig.turn()
    rig.ask(m.Cancel, rig.session, [second.id])
    rig.turn()
    assert rig.told("g2", m.DropObjects)
    rig.says("g2", m.Fetched(first.outputs))
    graph = rig.core.state.graph
    assert not graph.governors["g2"].objects
    rig.says("g2", m.Dropped(first.outputs))
    assert not graph.governors["g2"].dropping


def test_a_crash_of_a_chain_withdraws_its_followers() -> None:
    rig = Rig()
    rig.governor("g1")
    first, second, third = rig.graph("first -> second -> third")
    rig.turn()
    assert rig.assigned()["g1"] == [first.id, second.id, third.id]
    rig.fail(first, "crash", "SIGSEGV")
    assert rig.assigned()["g1"] == []
    rig.turn()
    assert rig.told("g1", m.CancelTasks)[0].tasks == [(second.id, 1), (third.id, 1)]
    assert rig.where(third) == ("g1", 2)
    rig.says("g1", m.Stopped([(second.id, 1), (third.id, 1)]))
    for task in (first, second, third):
        rig.finish(task)
    assert rig.state(third) == "finished"


def test_nothing_is_sent_for_those_that_have_gone() -> None:
    rig = Rig()
    rig.governor("g1")
    id = rig.id()
    constant = m.Constant(id, Upload("upload-1", 1 << 20, 1, LocalFile("/x", 1, 1 << 20, 0)), None, True)
    task = rig.task(id)
    rig.submit(task, more_objects=[m.ObjectSpec(id)], more_constants=[constant])
    rig.turn()
    rig.says("g1", m.ObjectsLost([id], "wrong checksum"))
    rig.says("g1", m.InputsMissing([(task.id, 1)], [id], "wrong checksum"))
    rig.ask(m.Cancel, rig.session, [task.id])
    rig.told("g1", m.Assign)
    rig.turn()
    assert not rig.told("g1", m.Assign)
    assert rig.discarded == ["upload-1"]


def test_what_is_made_again_only_for_a_task_that_is_cancelled_stays_finished() -> None:
    """The last task is told first that its input does not come. With it nothing needs the second any more, which was to
    run again for it alone: that is finished as before, and depends on nothing."""
    rig = Rig()
    rig.governor("g1", cpus=2)
    first, second, _slow, last = rig.graph("first -> second -> last; first -> last; slow -> last")
    rig.turn()
    rig.finish(first, large=True)
    rig.turn()
    rig.finish(second, large=True)
    rig.turn()
    rig.gone("g1")
    assert [rig.state(task) for task in (first, second, last)] == ["ready", "waiting", "waiting"]
    rig.ask(m.Cancel, rig.session, [first.id])
    rig.turn()
    assert [rig.state(task) for task in (first, second, last)] == ["cancelled", "finished", "cancelled"]


def test_an_input_is_not_made_again_beside_one_that_cannot_be() -> None:
    rig = Rig()
    rig.governor("g1", cpus=2)
    calm, risky, last = rig.graph("calm -> last; risky[rerun='never'] -> last", keep="last")
    rig.turn()
    rig.finish(calm, risky, large=True)
    rig.turn()
    rig.finish(last, large=True)
    rig.turn()
    rig.gone("g1")
    assert [rig.state(task) for task in (calm, risky, last)] == ["finished", "failed", "failed"]
