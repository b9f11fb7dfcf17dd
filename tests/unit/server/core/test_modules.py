"""Paths and modules of a client: which environment tasks get, and who is asked for a module."""

from __future__ import annotations

from msgspec.structs import replace

from rain.common.protocol import messages as m
from rain.common.spec import ObjectSpec, TaskSpec
from rain.common.task_configs import UserModule
from rain.server.core import events as ev
from rain.server.environments import Environments
from tests.unit.server.rig import ENV, Rig

OTHER = replace(ENV, sys_path=["/src"])


def module(source: bytes, name: str = "mine") -> UserModule:
    return UserModule(name, f"/home/me/{name}.py", 1, len(source), source)


def submit(rig: Rig, task: TaskSpec, env: m.SessionEnv | None = None, *modules: UserModule, more: bool = False) -> None:
    objects = [ObjectSpec(id) for id in task.outputs]
    rig.ask(m.Submit, rig.session, [task], objects, [], [], more, [], [], env, list(modules))


def environment(rig: Rig, task: TaskSpec) -> int:
    return rig.core.state.graph.task(task.id).spec.environment  # type: ignore[union-attr]


def test_a_task_keeps_the_environment_of_its_submit() -> None:
    rig = Rig()
    name = rig.governor(cpus=8)
    function = rig.constant()
    tasks = [rig.task(function=function) for _ in range(5)]
    program = rig.task(kind="builtin/execute")
    for task, env in zip(tasks, (None, OTHER, None, ENV, OTHER), strict=True):
        submit(rig, task, env)
    submit(rig, program)
    assert [environment(rig, task) for task in tasks] == [0, 1, 1, 0, 1]
    assert environment(rig, program) == 0
    rig.turn()
    told = rig.told(name, m.OpenSession)
    assert sorted((message.number, message.env.sys_path) for message in told) == [(0, []), (1, ["/src"])]
    # It is told before the first task that needs it, and once; who comes back knows nothing.
    rig.gone(name)
    rig.governor(cpus=8)
    rig.turn()
    assert {message.number for message in rig.told(name, m.OpenSession)} == {0, 1}


def test_what_a_client_says_of_the_number_does_not_count() -> None:
    rig = Rig()
    task = rig.task(function=rig.constant())
    task.environment = 77
    submit(rig, task)
    assert environment(rig, task) == 0


def test_a_changed_module_makes_a_new_environment() -> None:
    rig = Rig()
    function = rig.constant()
    tasks = [rig.task(function=function) for _ in range(6)]
    submit(rig, tasks[0], None, module(b"1"))
    submit(rig, tasks[1], None, module(b"1"), module(b"1", "another"))
    submit(rig, tasks[2], None, module(b"2"))
    submit(rig, tasks[3], OTHER)
    submit(rig, tasks[4], ENV)  # not number 0: there the old module may have been imported
    submit(rig, tasks[5])
    assert [environment(rig, task) for task in tasks] == [0, 0, 1, 2, 1, 1]


def test_a_refused_submit_changes_nothing() -> None:
    rig = Rig()
    function = rig.constant()
    bad = rig.task(rig.id(), function=function)
    submit(rig, bad, OTHER, module(b"1"))
    good = rig.task(function=function)
    submit(rig, good)
    assert environment(rig, good) == 0
    assert not rig.core.state.graph.sessions[rig.session].environments.modules


def test_a_retry_has_the_present_environment() -> None:
    rig = Rig()
    rig.governor()
    task = rig.task(function=rig.constant())
    submit(rig, task)
    rig.turn()
    rig.fail(task)
    assert isinstance(rig.ask(m.Retry, rig.session, None, [], [], [], OTHER), m.Done)
    assert environment(rig, task) == 1


def test_the_oldest_environment_goes_first() -> None:
    found = Environments(ENV)
    for number in range(5):
        found.use(replace(ENV, cwd=f"/{number}"), 3)
    assert found.current == 5
    assert found.get(4).cwd == "/3"
    assert found.get(1) == found.get(5)


def want(rig: Rig, name: str, wanted: str) -> list[m.ModuleFound]:
    rig.says(name, m.WantModule(rig.session, wanted))
    return rig.told(name, m.ModuleFound)


def test_modules_are_held_or_asked_for() -> None:
    rig = Rig()
    one, two = rig.governor("g1"), rig.governor("g2")
    tasks = [rig.task(function=rig.constant()) for _ in range(4)]
    for task in tasks:
        submit(rig, task, None, module(b"1", "held"))
    rig.turn()
    assert want(rig, one, "held") == [m.ModuleFound(rig.session, "held", module(b"1", "held"))]
    rig.to_client.clear()
    assert want(rig, one, "mine") == []
    assert want(rig, two, "mine") == []
    assert rig.to_client == [m.WantModule(rig.session, "mine")]
    found = m.ModuleFound(rig.session, "mine", module(b"1"))
    rig.step(ev.ClientSaid(rig.client, found))
    assert rig.told(one, m.ModuleFound) == rig.told(two, m.ModuleFound) == [found]
    assert want(rig, two, "mine") == [found]
    assert want(rig, one, "nowhere") == []
    rig.step(ev.ClientSaid(rig.client, m.ModuleFound(rig.session, "nowhere", None)))
    assert rig.told(one, m.ModuleFound) == [m.ModuleFound(rig.session, "nowhere")]


def test_nobody_waits_for_a_client_that_left() -> None:
    rig = Rig(persistent=True)
    name = rig.governor()
    submit(rig, rig.task(function=rig.constant()), None, module(b"1", "held"))
    rig.turn()
    assert want(rig, name, "mine") == []
    rig.step(ev.ClientGone(rig.client))
    assert rig.told(name, m.ModuleFound) == [m.ModuleFound(rig.session, "mine")]
    assert want(rig, name, "mine") == [m.ModuleFound(rig.session, "mine")]
    assert want(rig, name, "held")[0].module is not None
    rig.says(name, m.WantModule(999, "mine"))
    assert rig.told(name, m.ModuleFound) == [m.ModuleFound(999, "mine")]
