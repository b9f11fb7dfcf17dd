"""Environments keep executors apart; executors that miss a module are answered."""

from __future__ import annotations

from rain.common.protocol import messages as m
from rain.governor.core import effects as fx
from rain.governor.core import events as ev
from tests.unit.governor.core.rig import Rig


def test_tasks_of_another_environment_run_in_another_executor() -> None:
    rig = Rig(cpus=1)
    envs = [m.SessionEnv("host", "/usr/bin/python3", "3.11", [path], "/") for path in ("/a", "/b")]
    rig.server(*(m.OpenSession(1, env, number) for number, env in enumerate(envs)))
    for number, environment, executor in ((1, 0, 1), (2, 1, 2), (3, 0, 1), (4, 1, 2)):
        task = rig.task(number)
        task.spec.environment = environment
        rig.assign(task)
        for effect in rig.last:
            if isinstance(effect, fx.StartExecutor):
                assert effect.session_env == envs[environment]
            elif isinstance(effect, fx.RunOnExecutor):
                assert effect.executor_id == executor
        rig.results(executor, number)


def asked(rig: Rig) -> list[m.WantModule]:
    return [
        effect.message
        for effect in rig.last
        if isinstance(effect, fx.ToServer) and isinstance(effect.message, m.WantModule)
    ]


def test_the_server_is_asked_once_for_all_that_wait() -> None:
    rig = Rig(cpus=2)
    rig.assign(rig.task(1), rig.task(2))
    rig.step(ev.ModuleWanted(1, "mine"))
    assert asked(rig) == [m.WantModule(1, "mine")]
    rig.step(ev.ModuleWanted(2, "mine"))
    assert asked(rig) == []
    found = m.ModuleFound(1, "mine")
    rig.server(found)
    given = [effect for effect in rig.last if isinstance(effect, fx.GiveModule)]
    assert given == [fx.GiveModule(1, found), fx.GiveModule(2, found)]
    rig.step(ev.ModuleWanted(2, "mine"))
    assert asked(rig) == [m.WantModule(1, "mine")]


def test_who_is_gone_is_not_asked_for() -> None:
    rig = Rig()
    rig.assign(rig.task(1))
    rig.step(ev.ModuleWanted(77, "mine"))
    assert asked(rig) == []
    rig.server(m.EndSession(1))
    rig.step(ev.ModuleWanted(1, "mine"))
    assert asked(rig) == []
    rig.server(m.ModuleFound(1, "mine"))
    assert not [effect for effect in rig.last if isinstance(effect, fx.GiveModule)]
