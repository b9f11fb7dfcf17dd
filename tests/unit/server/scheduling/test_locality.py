"""Where ready tasks go, in which order, and how much ahead."""

from __future__ import annotations

import time

from rain.common.ids import ID
from rain.common.limits import GOVERNOR_LOST_S
from rain.common.protocol import messages as m
from rain.common.spec import ObjectSpec
from rain.server.core import events as ev
from tests.unit.server.rig import Rig


def _tick(rig: Rig, seconds: float) -> None:
    rig.now += seconds
    rig.step(ev.Tick())
    rig.turn()


def _learn(rig: Rig, seconds: float, kind: str = "py/") -> None:
    """Let the server learn what tasks of a kind take."""
    task = rig.task(kind=kind)
    rig.submit(task)
    rig.turn()
    rig.finish(task, seconds=seconds)
    rig.turn()
    for name in rig.to_governor:
        rig.told(name, object)


def _order(rig: Rig, name: str) -> list[ID]:
    return [task.spec.id for message in rig.told(name, m.Assign) for task in message.tasks]


# -- order ----------------------------------------------------------------------------------------


def test_priority_then_the_critical_path_then_submission() -> None:
    rig = Rig()
    one, two, head, *_, urgent = rig.graph("one two; head -> body -> arm -> hand; urgent[priority=5]")
    rig.governor(cpus=100)
    rig.turn()
    assert _order(rig, "g1")[:4] == [urgent.id, head.id, one.id, two.id]


def test_ranks_in_assignments_sort_as_the_server_does() -> None:
    rig = Rig()
    tasks = [rig.task(priority=priority) for priority in (0, 2, -1, 1)]
    rig.submit(*tasks)
    rig.governor(cpus=100)
    rig.turn()
    given = [task for message in rig.told("g1", m.Assign) for task in message.tasks]
    assert sorted(given, key=lambda task: task.rank) == given


# -- room -----------------------------------------------------------------------------------------


def test_long_tasks_are_given_as_many_as_fit() -> None:
    rig = Rig()
    rig.governor(cpus=4)
    _learn(rig, 10.0)
    rig.submit(*[rig.task() for _ in range(20)])
    rig.turn()
    assert len(rig.assigned()["g1"]) == 4


def test_short_tasks_are_given_ahead() -> None:
    rig = Rig()
    rig.governor(cpus=2)
    _learn(rig, 0.001)
    rig.submit(*[rig.task() for _ in range(5000)])
    rig.turn()
    assert 100 < len(rig.assigned()["g1"]) < 300, "about AHEAD_S of work per cpu"


def test_ahead_work_is_limited_in_number() -> None:
    rig = Rig()
    rig.governor(cpus=1)
    _learn(rig, 0.0)
    rig.submit(*[rig.task(resources={}) for _ in range(3000)])
    rig.turn()
    assert len(rig.assigned()["g1"]) == 512


def test_named_and_fractional_resources() -> None:
    rig = Rig()
    rig.governor(cpus=4, gpus=1)
    _learn(rig, 10.0)
    thirds = [rig.task(resources={"gpus": 1 / 3}) for _ in range(4)]
    rig.submit(*thirds, rig.task(resources={"cpus": 5e-1}), rig.task(resources={"cpus": 3.5}), rig.task())
    rig.turn()
    assert len(rig.assigned()["g1"]) == 5
    demand = rig.core.state.graph.governors["g1"].demand
    assert demand["cpus"] == rig.core.state.graph.governors["g1"].total["cpus"]


def test_tasks_go_where_there_is_room_first() -> None:
    rig = Rig()
    rig.governor("g1", cpus=1)
    rig.governor("g2", cpus=3)
    _learn(rig, 10.0)
    rig.submit(*[rig.task() for _ in range(4)])
    rig.turn()
    assert {name: len(ids) for name, ids in rig.assigned().items()} == {"g1": 1, "g2": 3}


def test_a_large_task_is_not_overtaken_forever() -> None:
    rig = Rig()
    rig.governor(cpus=2)
    _learn(rig, 10.0)
    small = [rig.task() for _ in range(40)]
    rig.submit(*small[:2])
    rig.turn()
    large = rig.task(resources={"cpus": 2.0}, priority=1)
    rig.submit(large, *small[2:])
    for _ in range(20):
        running = rig.assigned()["g1"]
        if large.id in running:
            break
        rig.finish(next(task for task in small if task.id == running[0]), seconds=10.0)
        _tick(rig, 0.5)
    else:
        raise AssertionError("it never ran")


# -- what fits nowhere ----------------------------------------------------------------------------


def test_what_fits_nowhere_fails_and_says_why() -> None:
    rig = Rig()
    large = rig.task(resources={"cpus": 64.0, "gpus": 2.0})
    after = rig.task(large.outputs[0])
    rig.submit(large, after)
    rig.turn()
    assert rig.state(large) == "ready", "no governor is here yet"
    rig.governor(cpus=4)
    rig.turn()
    error = rig.error(large)
    assert error.kind == "resources"
    assert "64 cpus, 2 gpus" in error.message
    assert "g1, has 4 cpus" in error.message
    assert rig.error(after).kind == "dependency"


def test_it_waits_while_more_governors_are_expected() -> None:
    rig = Rig()
    rig.ask(m.ExpectGovernors, 2)
    rig.governor("g1", cpus=1)
    large = rig.task(resources={"cpus": 8.0})
    rig.submit(large)
    rig.turn()
    assert rig.state(large) == "ready"
    assert "more governors are expected" in rig.ask(m.Explain, large.id).values["text"]
    rig.governor("g2", cpus=8)
    rig.turn()
    assert rig.where(large)[0] == "g2"


def test_what_a_client_expected_goes_with_it() -> None:
    rig = Rig()
    rig.step(ev.ClientJoined("hopeful"))
    rig.ask(m.ExpectGovernors, 2, client="hopeful")
    rig.governor("g1", cpus=1)
    large = rig.task(resources={"cpus": 8.0})
    rig.submit(large)
    rig.turn()
    assert rig.state(large) == "ready"
    rig.step(ev.ClientGone("hopeful"))
    rig.turn()
    assert rig.error(large).kind == "resources"


def test_it_waits_for_a_governor_that_was_just_lost() -> None:
    rig = Rig()
    rig.governor("g1", cpus=8)
    rig.governor("g2", cpus=1)
    rig.gone("g1")
    large = rig.task(resources={"cpus": 8.0})
    rig.submit(large)
    rig.turn()
    assert rig.state(large) == "ready"
    _tick(rig, GOVERNOR_LOST_S + 1)
    assert rig.state(large) == "failed"


def test_executor_types_are_asked_for() -> None:
    rig = Rig()
    rig.governor("g1")
    rig.governor("g2", executors=("cpp",), cpus=1)
    good = rig.task(kind="cpp/run")
    bad = rig.task(kind="fortran/run")
    rig.submit(good, bad)
    rig.turn()
    assert rig.where(good)[0] == "g2"
    assert "'fortran'" in rig.error(bad).message
    assert "'cpp'" in rig.error(bad).message


# -- place ----------------------------------------------------------------------------------------


def test_tasks_go_to_their_large_inputs() -> None:
    rig = Rig()
    rig.governor("g1", cpus=2)
    rig.governor("g2", cpus=2)
    sources = [rig.task(resources={"cpus": 2.0}) for _ in range(2)]
    rig.submit(*sources, keep=[task.outputs[0] for task in sources])
    rig.turn()
    homes = [rig.where(task)[0] for task in sources]
    assert sorted(homes) == ["g1", "g2"]
    rig.finish(*sources, large=True)
    readers = [rig.task(task.outputs[0]) for task in reversed(sources)]
    rig.submit(*readers)
    rig.turn()
    assert [rig.where(task)[0] for task in readers] == homes[::-1]


def test_small_inputs_do_not_matter() -> None:
    rig = Rig()
    rig.governor("g1", cpus=1)
    source = rig.task()
    rig.submit(source, keep=source.outputs)
    rig.turn()
    rig.finish(source, seconds=5.0)
    rig.governor("g2", cpus=4)
    readers = [rig.task(source.outputs[0]) for _ in range(5)]
    rig.submit(*readers)
    rig.turn()
    assert {name: len(ids) for name, ids in rig.assigned().items()} == {"g1": 1, "g2": 4}


def test_a_task_waits_for_its_inputs_governor_unless_moving_is_faster() -> None:
    rig = Rig()
    rig.governor("g1", cpus=1)
    source = rig.task()
    rig.submit(source, keep=source.outputs)
    rig.turn()
    rig.finish(source, large=True, seconds=0.5)
    readers = [rig.task(source.outputs[0]) for _ in range(4)]
    rig.governor("g2", cpus=4)
    rig.submit(*readers)
    rig.turn()
    # 1 MiB moves in 2 ms: waiting for half a second would be foolish.
    assert [len(ids) for ids in rig.assigned().values()] == [1, 3]


def test_followers_are_given_with_what_they_follow() -> None:
    rig = Rig()
    rig.governor("g1", cpus=2)
    rig.governor("g2", cpus=2)
    _learn(rig, 0.001)
    chains = []
    for _ in range(2):
        chain = [rig.task()]
        for _ in range(10):
            chain.append(rig.task(chain[-1].outputs[0]))
        chains.append(chain)
    rig.submit(*[task for chain in chains for task in chain])
    rig.turn()
    for chain in chains:
        assert len({rig.where(task)[0] for task in chain}) == 1


def test_what_joins_two_governors_is_not_given_ahead() -> None:
    rig = Rig()
    rig.governor("g1", cpus=1)
    rig.governor("g2", cpus=1)
    _left, _right, _joined = rig.graph("left right -> joined")
    rig.turn()
    assert sorted(map(len, rig.assigned().values())) == [1, 1]


# -- taking back ----------------------------------------------------------------------------------


def test_an_idle_governor_gets_what_another_has_too_much() -> None:
    rig = Rig()
    rig.governor("g1", cpus=1)
    _learn(rig, 0.018)
    tasks = [rig.task() for _ in range(6)]
    rig.submit(*tasks)
    rig.turn()
    assert len(rig.assigned()["g1"]) == 6
    rig.governor("g2", cpus=1)
    rig.turn()
    asked = rig.told("g1", m.TakeBack)
    assert len(asked) == 1
    assert {id for id, _ in asked[0].tasks} <= {task.id for task in tasks[1:]}
    rig.turn()
    assert not rig.told("g1", m.TakeBack), "one at a time"
    rig.says("g1", m.GaveBack(asked[0].tasks))
    rig.turn()
    assert 2 <= len(rig.assigned()["g2"]) <= 3
    moved = next(task for task in tasks if task.id == rig.assigned()["g2"][0])
    assert rig.where(moved) == ("g2", 1), "what never started is no attempt"


def test_nothing_is_taken_from_those_that_have_little() -> None:
    rig = Rig()
    rig.governor("g1", cpus=1)
    _learn(rig, 0.001)
    rig.submit(*[rig.task() for _ in range(10)])
    rig.turn()
    rig.governor("g2", cpus=1)
    rig.turn()
    assert not rig.told("g1", m.TakeBack)


# -- cost -----------------------------------------------------------------------------------------


def _result(rig: Rig, task: m.TaskAssignment, seconds: float) -> m.TaskResult:
    outputs = [rig.output(id, "g1", False, b"") for id in task.spec.outputs]
    return m.TaskResult(task.spec.id, task.attempt, m.TaskInfo(duration=seconds), outputs)


def _cost(count: int) -> float:
    """Seconds per task to submit, place and finish `count` tasks."""
    rig = Rig()
    rig.governor(cpus=4)
    tasks = [rig.task() for _ in range(count)]
    core = rig.core
    objects = [ObjectSpec(task.outputs[0]) for task in tasks]
    began = time.process_time()
    core.step(ev.ClientSaid("c", m.Submit(2, rig.session, tasks, objects, [], [])), 0.0)
    done = 0
    while done < count:
        given: list[m.TaskAssignment] = []
        for effect in core.step(ev.TurnEnded(), 0.0):
            message = getattr(effect, "message", None)
            if isinstance(message, m.Assign):
                given.extend(message.tasks)
        results = [_result(rig, task, 1e-4) for task in given]
        core.step(ev.GovernorSaid("g1", m.Finished(results)), 0.0)
        done += len(given)
    return (time.process_time() - began) / count


def test_the_cost_of_a_task_does_not_grow_with_their_number() -> None:
    small, large = min(_cost(1_000) for _ in range(3)), min(_cost(10_000) for _ in range(2))
    assert large < 3 * small, f"{small * 1e6:.0f} µs per task of 1,000 and {large * 1e6:.0f} µs of 10,000"


def test_a_thousand_shapes_do_not_slow_a_pass() -> None:
    rig = Rig()
    rig.governor(cpus=1, mem=1e9)
    _learn(rig, 10.0)
    tasks = [rig.task(resources={"cpus": 1.0, "mem": 1e6 + number}) for number in range(1000)]
    rig.submit(*tasks)
    done = set()
    for _ in range(1000):
        rig.core.step(ev.Tick(), rig.now)
        for effect in rig.core.step(ev.TurnEnded(), rig.now):
            message = getattr(effect, "message", None)
            if isinstance(message, m.Assign):
                for task in message.tasks:
                    done.add(task.spec.id)
                    result = _result(rig, task, 10.0)
                    rig.core.step(ev.GovernorSaid("g1", m.Finished([result])), rig.now)
    assert len(done) == 1000
