"""Tasks on several governors: all at once or none, no starvation, one lost all lost."""

from __future__ import annotations

import pytest

from rain.common.ids import ID
from rain.common.protocol import messages as m
from rain.common.spec import TaskError, TaskInfo, TaskSpec
from rain.common.task_configs import COMPANION
from rain.server.core import events as ev
from rain.server.core.lifecycle.gangs import GANG_RESERVE_S
from tests.unit.server.rig import Rig


def _rig(*names: str, cpus: float = 1.0) -> Rig:
    rig = Rig()
    for name in names:
        rig.governor(name, cpus=cpus)
    return rig


def _given(rig: Rig, task: TaskSpec) -> dict[str, str]:
    """By governor what of a task it was last sent; then forget."""
    found = {}
    for name in list(rig.to_governor):
        for message in rig.told(name, m.Assign):
            for given in message.tasks:
                if given.spec.id == task.id:
                    found[name] = "companion" if given.spec.task_type == COMPANION else "task"
    return found


def _ready(rig: Rig, task: TaskSpec, *names: str, attempt: int = 1) -> None:
    for name in names:
        rig.says(name, m.NodeReady(task.id, attempt, f"{name}:9", b"print", b"key"))
    rig.turn()


def _gang(rig: Rig, nodes: int = 2, **options: object) -> TaskSpec:
    task = rig.task(nodes=nodes, **options)
    assert isinstance(rig.submit(task), m.Done)
    rig.turn()
    return task


def _finished(rig: Rig, task: TaskSpec, first: str) -> None:
    outputs = [rig.output(id, first, False, b"x") for id in task.outputs]
    rig.says(first, m.Finished([m.TaskResult(task.id, 1, TaskInfo(duration=1.0), outputs)]))


def _running(rig: Rig, task: TaskSpec) -> list[str]:
    """Have it run; its governors, the first first."""
    given = _given(rig, task)
    members = [name for name, what in given.items() if what == "companion"]
    attempt = max(attempt for id, attempt in rig.given if id == task.id)
    _ready(rig, task, *members, attempt=attempt)
    (first,) = [name for name, what in _given(rig, task).items() if what == "task"]
    rig.says(first, m.Started([(task.id, attempt)]))
    return [first, *members]


def test_all_are_booked_at_once_and_the_first_starts_when_the_others_are_ready() -> None:
    rig = _rig("g1", "g2", "g3")
    task = _gang(rig, 3)
    given = _given(rig, task)
    assert sorted(given.values()) == ["companion", "companion"], "the first waits"
    first, *members = [name for name in ("g1", "g2", "g3") if name not in given] + list(given)
    other = rig.task()
    rig.submit(other)
    _ready(rig, task, members[0])
    assert _given(rig, task) == {}
    assert "1 of the 2 others are ready for it" in rig.ask(m.Explain, task.id).values["text"]
    _ready(rig, task, members[1])
    sent = rig.told(first, m.Assign)[0].tasks[0]
    assert [node.governor for node in sent.nodes] == [first, *members]
    assert [node.address for node in sent.nodes] == ["", *(f"{name}:9" for name in members)]
    rig.says(first, m.Started([(task.id, 1)]))
    assert rig.state(task) == "running"
    rig.says(
        first,
        m.Finished(
            [m.TaskResult(task.id, 1, TaskInfo(duration=1.0), [rig.output(task.outputs[0], first, False, b"x")])]
        ),
    )
    rig.turn()
    for member in members:
        assert rig.told(member, m.CancelTasks)[0].tasks == [(task.id, 1)]
        rig.says(member, m.Stopped([(task.id, 1)]))
    assert not any(any(one.demand.values()) for one in rig.core.state.graph.governors.values() if not one.assigned)


def test_nothing_is_held_while_it_waits_and_two_do_not_wait_for_each_other() -> None:
    rig = _rig("g1", "g2")
    first = _gang(rig)
    second = _gang(rig)
    assert len(_given(rig, first)) == 1
    assert _given(rig, second) == {}
    assert not any(len(one.hosting) > 1 for one in rig.core.state.graph.governors.values())
    where = _running_after(rig, first)
    rig.says(
        where[0],
        m.Finished(
            [m.TaskResult(first.id, 1, TaskInfo(duration=1.0), [rig.output(first.outputs[0], where[0], False, b"x")])]
        ),
    )
    rig.says(where[1], m.Stopped([(first.id, 1)]))
    rig.turn()
    rig.turn()
    assert len(_given(rig, second)) == 1


def _running_after(rig: Rig, task: TaskSpec) -> list[str]:
    gang = next(one for one in rig.core.state.graph.gangs.values() if one.id == task.id)
    members = [one.id for one in gang.members]
    _ready(rig, task, *members)
    (first,) = [name for name, what in _given(rig, task).items() if what == "task"]
    return [first, *members]


def test_small_tasks_do_not_starve_it() -> None:
    rig = _rig("g1", "g2", "g3")
    small = [rig.task() for _ in range(3)]
    rig.submit(*small)
    rig.turn()
    for task in small:
        rig.start(task)
    gang = _gang(rig, 2)
    more = [rig.task() for _ in range(9)]
    rig.submit(*more)
    rig.now += GANG_RESERVE_S + 1
    rig.step(ev.Tick())
    rig.turn()
    assert len(rig.core.state.graph.reserved) == 2
    assert "get no other work until the next such task has started" in rig.ask(m.Explain, gang.id).values["text"]
    finished: set[object] = set()
    for _ in range(30):
        running = [
            task
            for task in (*small, *more)
            if task.id not in finished and any(task.id in ids for ids in rig.assigned().values())
        ]
        if _given(rig, gang):
            break
        assert running
        rig.finish(running[0])
        finished.add(running[0].id)
        rig.turn()
    else:
        pytest.fail("it never had its turn")
    assert len(finished) < len(small) + len(more), "some of the later small tasks came after it"


@pytest.mark.parametrize("who", ["first", "member"])
def test_one_lost_all_lost_and_charged_once(who: str) -> None:
    rig = _rig("g1", "g2", "g3")
    task = _gang(rig, 2)
    first, member = _running(rig, task)
    gone, stays = (first, member) if who == "first" else (member, first)
    rig.gone(gone)
    rig.turn()
    assert rig.told(stays, m.CancelTasks)[0].tasks == [(task.id, 1)]
    assert rig.core.state.graph.sessions[rig.session].crashes == {task.id.id: 1}
    rig.says(stays, m.Stopped([(task.id, 1)]))
    rig.turn()
    assert sorted(_running(rig, task)) == sorted({"g1", "g2", "g3"} - {gone})


@pytest.mark.parametrize("how", ["Stopped", "GaveBack"])
def test_a_member_that_leaves_on_purpose_charges_nothing(how: str) -> None:
    rig = _rig("g1", "g2", "g3")
    task = _gang(rig, 2)
    first, member = _running(rig, task)
    rig.says(member, m.Draining("SIGTERM", 20.0))
    rig.says(member, m.Stopped([(task.id, 1)]) if how == "Stopped" else m.GaveBack([(task.id, 1)]))
    rig.turn()
    assert rig.told(first, m.CancelTasks)
    rig.says(first, m.Stopped([(task.id, 1)]))
    rig.turn()
    assert rig.core.state.graph.sessions[rig.session].crashes == {}
    assert member not in _running(rig, task)


def test_a_companion_that_dies_is_a_crash_and_a_task_that_runs_once_fails() -> None:
    rig = _rig("g1", "g2")
    task = _gang(rig, 2, rerun="never")
    _, member = _running(rig, task)
    error = TaskError("crash", "it was killed by SIGKILL")
    rig.says(member, m.Finished([m.TaskResult(task.id, 1, TaskInfo(), [], error)]))
    rig.turn()
    assert rig.error(task).kind == "lost"
    assert "it was killed by SIGKILL" in rig.error(task).message


def test_one_that_runs_once_does_not_go_again_when_its_first_governor_has_it() -> None:
    """It may run there, although that was not heard of yet; while companions come up it has not begun."""
    for companions in (1, 2):
        rig = _rig("g1", "g2", "g3", "g4", "g5", "g6")
        task = _gang(rig, 3, rerun="never")
        members = [name for name, what in _given(rig, task).items() if what == "companion"]
        _ready(rig, task, *members[:companions])
        rig.says(members[0], m.Finished([m.TaskResult(task.id, 1, TaskInfo(), [], TaskError("crash", "it died"))]))
        rig.turn()
        if companions == 2:
            assert rig.error(task).kind == "lost"
        else:
            assert task.id in [id for id, attempt in rig.given if attempt == 2]


@pytest.mark.parametrize("when", ["waiting", "companions", "running"])
def test_it_is_cancelled_whole(when: str) -> None:
    rig = _rig("g1", "g2")
    if when == "waiting":
        blocker = rig.task()
        rig.submit(blocker)
        rig.turn()
    task = _gang(rig, 2)
    governors = [] if when == "waiting" else _running(rig, task) if when == "running" else list(_given(rig, task))
    rig.ask(m.Cancel, rig.session, [task.id])
    rig.turn()
    assert rig.state(task) == "cancelled"
    assert not rig.core.state.graph.gangs
    assert not rig.core.state.graph.waiting_gangs
    for name in governors:
        assert rig.told(name, m.CancelTasks)


def test_a_session_ends_with_its_gangs() -> None:
    rig = _rig("g1", "g2")
    task = _gang(rig, 2)
    governors = _running(rig, task)
    rig.ask(m.CloseSession, rig.session)
    rig.turn()
    for name in reversed(governors):
        rig.says(name, m.SessionEnded(rig.session))
        rig.turn()
    graph = rig.core.state.graph
    assert not graph.gangs
    assert not any(one.hosting or one.stopping or one.work for one in graph.governors.values())


def test_what_cannot_be_fails_and_what_a_pool_may_bring_waits() -> None:
    rig = _rig("g1", "g2")
    assert rig.error(_gang(rig, 3)).kind == "resources"
    rig.ask(m.OfferPlaces, [m.Offer("slurm", {"cpus": 1.0}, 1, "1 asked for, pending (Priority)")])
    task = _gang(rig, 3)
    assert rig.state(task) == "ready"
    text = rig.ask(m.Explain, task.id).values["text"]
    assert (
        "It asks for 3 governors at once with 1 cpus each: 2 here have that, and 2 of them have it free now, or waits"
        in text
    )
    assert "or waits for a place of slurm with 1 cpus: 1 asked for, pending (Priority)" in text
    (need,) = rig.ask(m.GetDemand).needs
    assert (need.waiting, need.together) == (3, 3)
    rig.governor("g3", cpus=1.0)
    rig.turn()
    assert len(_running(rig, task)) == 3


def test_builtin_tasks_have_one_governor() -> None:
    rig = _rig("g1", "g2")
    answer = rig.submit(rig.task(kind="builtin/sleep", nodes=2))
    assert isinstance(answer, m.Failed)
    assert "only remote functions and programs" in answer.message
    assert "nodes 0; it has to be from 1" in rig.submit(rig.task(nodes=0)).message


def test_one_that_has_not_begun_lets_go_of_its_governors_when_an_input_is_lost() -> None:
    rig = _rig("g1", "g2")
    maker = rig.task(nodes=2)
    user = rig.task(maker.outputs[0], nodes=2)
    rig.submit(maker, user, keep=[user.outputs[0]])
    rig.turn()
    first, member = _running(rig, maker)
    output = rig.output(maker.outputs[0], first, True, b"")
    rig.says(first, m.Finished([m.TaskResult(maker.id, 1, TaskInfo(duration=1.0), [output])]))
    rig.turn()
    rig.says(member, m.Stopped([(maker.id, 1)]))
    rig.turn()
    others = list(_given(rig, user))
    assert len(others) == 1, "its companion is on its way"
    rig.says(first, m.ObjectsLost([maker.outputs[0]], "it is damaged"))
    rig.turn()
    assert rig.state(user) == "waiting"
    for name in (first, member):
        for order in rig.told(name, m.CancelTasks):
            rig.says(name, m.Stopped(order.tasks))
    rig.turn()
    assert len(_running(rig, maker)) == 2, "what makes the input again has them"


# -- gaps of governors that are kept free ------------------------------------------------------------


def _measured(rig: Rig, *seconds: float) -> ID:
    """A function that took so long."""
    function = rig.constant()
    for each in seconds:
        task = rig.task(function=function)
        rig.submit(task)
        rig.turn()
        rig.finish(task, seconds=each)
    rig.turn()
    return function


def _waits_behind(rig: Rig, long: ID) -> tuple[TaskSpec, TaskSpec]:
    """A task on two governors that waits for a long one on the first, and has reserved both; the long one."""
    blocking = rig.task(function=long)
    rig.submit(blocking)
    rig.turn()
    rig.start(blocking)
    assert rig.assigned() == {"g1": [blocking.id], "g2": []}
    gang = _gang(rig, 2)
    rig.now += GANG_RESERVE_S + 1
    rig.step(ev.Tick())
    rig.turn()
    assert len(rig.core.state.graph.reserved) == 2
    assert _given(rig, gang) == {}
    return gang, blocking


def _where(rig: Rig, task: TaskSpec) -> list[str]:
    return [name for name, ids in rig.assigned().items() if task.id in ids]


def test_what_ends_before_it_can_start_fills_the_gap() -> None:
    rig = _rig("g1", "g2")
    long, short, other = _measured(rig, 100.0, 110.0), _measured(rig, 10.0, 20.0), _measured(rig, 90.0, 95.0)
    gang, blocking = _waits_behind(rig, long)
    too_long, unknown = rig.task(function=other), rig.task(function=rig.constant())
    fits, limited = rig.task(function=short), rig.task(function=rig.constant(), timeout=60.0)
    rig.submit(too_long, unknown, fits, limited)
    rig.turn()
    assert [_where(rig, task) for task in (too_long, unknown, fits, limited)] == [[], [], ["g2"], []]
    rig.start(fits)
    rig.now += 10.0
    rig.finish(fits, seconds=10.0)
    rig.turn()
    assert _where(rig, limited) == ["g2"], "it has surely ended in time"
    rig.start(limited)
    rig.now += 60.0
    rig.finish(limited, seconds=60.0)
    rig.now += 5.0
    again = rig.task(function=short)
    rig.submit(again)
    rig.turn()
    assert _where(rig, again) == [], "the long one may end in 23 s, and a short one has taken 20 s: too near"
    rig.finish(blocking, seconds=75.0)
    rig.turn()
    assert len(_given(rig, gang)) == 1


def test_a_gap_is_no_longer_than_another_governor_makes_it() -> None:
    """Whichever two are free first begin it, also such as are not kept free now."""
    rig = _rig("g1", "g2", "g3")
    long, middle, short = _measured(rig, 100.0, 110.0), _measured(rig, 12.0, 12.0), _measured(rig, 10.0, 10.0)
    busy = rig.task(function=middle)
    rig.submit(busy)
    rig.turn()
    rig.start(busy)
    second = rig.task(function=long)
    rig.submit(second)
    rig.turn()
    rig.start(second)
    _gang(rig, 2)
    rig.now += GANG_RESERVE_S + 1
    rig.step(ev.Tick())
    task = rig.task(function=short)
    rig.submit(task)
    rig.turn()
    assert _where(rig, task) == [], "in 10 s the middle one is done"


def test_what_fills_a_gap_makes_no_gap_longer() -> None:
    rig = _rig("g1", "g2")
    long, short = _measured(rig, 100.0, 100.0), _measured(rig, 40.0, 40.0)
    _, blocking = _waits_behind(rig, long)
    first = rig.task(function=short)
    rig.submit(first)
    rig.turn()
    assert _where(rig, first) == ["g2"]
    rig.start(first)
    until = rig.core.state.graph.reserved_until
    rig.now += 5.0
    rig.finish(blocking, seconds=7.0)
    more = rig.task(function=short)
    rig.submit(more)
    rig.turn()
    assert rig.core.state.graph.reserved_until < until
    assert _where(rig, more) == [], "the first is all that it waits for"
    rig.now += 35.0
    rig.finish(first)
    rig.turn()
    assert len(rig.core.state.graph.gangs) == 1


def test_several_cpus_a_governor() -> None:
    rig = _rig("g1", "g2", cpus=4.0)
    long, short = _measured(rig, 100.0, 100.0), _measured(rig, 10.0, 10.0)
    tasks = [rig.task(function=long) for _ in range(4)]
    rig.submit(*tasks)
    rig.turn()
    for task in tasks:
        rig.start(task)
    gang = rig.task(nodes=2, resources={"cpus": 4.0})
    rig.submit(gang)
    rig.now += GANG_RESERVE_S + 1
    rig.step(ev.Tick())
    rig.turn()
    fill = [rig.task(function=short) for _ in range(9)]
    rig.submit(*fill)
    rig.turn()
    assert sum(bool(_where(rig, task)) for task in fill) == 4, "all that is free beside the four, and nothing ahead"
