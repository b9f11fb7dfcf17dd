"""What a client that is behind hears: nothing until it has caught up, then everything once, as it is by then."""

from __future__ import annotations

import pytest

from rain.common.ids import ID
from rain.common.protocol import messages as m
from rain.server.core import events as ev
from rain.server.core.reporting import updates
from tests.unit.server.rig import Rig


def _received(rig: Rig) -> list[m.SessionUpdate]:
    return [said for said in rig.to_client if isinstance(said, m.SessionUpdate)]


def _run(rig: Rig, count: int) -> list[ID]:
    tasks = [rig.task() for _ in range(count)]
    rig.submit(*tasks, keep=[task.outputs[0] for task in tasks])
    for task in tasks:
        rig.turn()
        rig.start(task)
        rig.turn()
        rig.finish(task, value=b"x" * 1000)
    rig.turn()
    return [task.id for task in tasks]


def test_a_client_that_is_behind_hears_the_last_of_everything_once() -> None:
    rig = Rig()
    rig.governor()
    rig.step(ev.ClientPace("c", True))
    ids = _run(rig, 10)
    assert _received(rig) == []
    rig.step(ev.ClientPace("c", False))
    rig.turn()
    told = [task for said in _received(rig) for task in said.tasks]
    assert sorted(task.id for task in told) == ids
    assert {task.state.value for task in told} == {"finished"}
    assert [obj.location.data for said in _received(rig) for obj in said.objects] == [b"x" * 1000] * 10
    rig.turn()
    assert len(told) == len([task for said in _received(rig) for task in said.tasks]), "and nothing twice"


def test_one_turn_tells_no_more_than_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(updates, "UPDATES_TURN_BYTES_MAX", 5000)
    monkeypatch.setattr(updates, "BATCH_BYTES_TARGET", 2000)
    rig = Rig()
    rig.governor()
    rig.step(ev.ClientPace("c", True))
    ids = _run(rig, 20)
    rig.step(ev.ClientPace("c", False))
    turns = 0
    while rig.core.state.holding or not turns:
        before = len(_received(rig))
        rig.turn()
        turns += 1
        assert sum(obj.location.size for said in _received(rig)[before:] for obj in said.objects) <= 8000
    assert turns > 2
    assert sorted(task.id for said in _received(rig) for task in said.tasks) == ids
    assert len({obj.id for said in _received(rig) for obj in said.objects}) == 20


def test_what_was_gathered_goes_with_its_client_and_not_to_another() -> None:
    rig = Rig(persistent=True)
    rig.governor()
    rig.step(ev.ClientPace("c", True))
    _run(rig, 3)
    rig.step(ev.ClientJoined("other"))
    attached = rig.ask(m.Attach, rig.session, client="other")
    assert isinstance(attached, m.Attached)
    rig.turn()
    assert not rig.core.state.holding
    rig.client = "other"
    rig.step(ev.ClientPace("other", True))
    _run(rig, 1)
    assert rig.core.state.holding
    rig.step(ev.ClientGone("other"))
    rig.turn()
    assert not rig.core.state.holding


def test_a_session_that_stops_tells_all_before() -> None:
    rig = Rig(on_failure="stop")
    rig.governor()
    rig.step(ev.ClientPace("c", True))
    first, bad = rig.task(), rig.task()
    rig.submit(first, bad, keep=[*first.outputs, *bad.outputs])
    rig.turn()
    rig.finish(first)
    rig.turn()
    assert _received(rig) == []
    rig.fail(bad)
    rig.turn()
    assert {task.id for said in _received(rig) for task in said.tasks} >= {first.id}
    assert any(isinstance(said, m.SessionStopped) for said in rig.to_client)
