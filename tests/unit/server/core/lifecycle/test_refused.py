"""What a task returned that was refused: it stays in the place of its outputs, and is nobody's input."""

from __future__ import annotations

import pytest

from rain.common.protocol import messages as m
from rain.server.check import check_idle
from tests.unit.server.rig import LARGE, Rig


def refused(large: bool = True) -> tuple[Rig, list]:
    """bad -> after; what bad returned was refused."""
    rig = Rig()
    rig.governor()
    bad = rig.task(outputs=2)
    after = rig.task(bad.outputs[0])
    rig.submit(bad, after, keep=[bad.outputs[1]])
    rig.turn()
    rig.refuse(bad, large)
    rig.turn()
    assert [rig.state(bad), rig.state(after), *map(rig.state, bad.outputs)] == ["failed"] * 4
    return rig, [bad, after]


def located(rig: Rig, task, refused: bool = True) -> list:
    return rig.ask(m.Locate, rig.session, list(task.outputs), refused).objects


@pytest.mark.parametrize("large", [False, True])
def test_it_is_found_when_it_is_asked_for_and_not_otherwise(large: bool) -> None:
    rig, (bad, after) = refused(large)
    for data in located(rig, bad):
        if large:
            assert (data.info.size, data.location.replicas[0].file.size, data.location.checksum) == (LARGE, LARGE, 99)
        else:
            assert (data.location.data, data.info.size) == (b"returned", 8)
        assert data.info.error == "not that"
    assert located(rig, bad, refused=False) == [None, None]
    assert rig.core.object_data(bad.outputs[0]) is not None
    assert located(rig, after) == [None]
    assert rig.told("g1", m.DropObjects) == []


def test_a_retry_lets_it_go_before_it_runs_again() -> None:
    rig, (bad, after) = refused()
    rig.told("g1", m.Assign)
    assert isinstance(rig.ask(m.Retry, rig.session, [bad.id]), m.Done)
    rig.turn()
    assert [type(said) for said in rig.to_governor["g1"][-2:]] == [m.DropObjects, m.Assign]
    assert set(rig.told("g1", m.DropObjects)[0].objects) == set(bad.outputs)
    assert located(rig, bad) == [None, None]
    rig.finish(bad, large=True)
    rig.turn()
    rig.finish(after)
    rig.turn()
    assert [rig.state(bad), rig.state(after)] == ["finished", "finished"]


def test_forget_and_the_end_of_the_session_let_it_go() -> None:
    for large in (False, True):
        rig, (bad, _after) = refused(large)
        assert isinstance(rig.ask(m.Forget, rig.session, None), m.Done)
        rig.turn()
        assert set(rig.told("g1", m.DropObjects)[0].objects) == set(bad.outputs)
        assert located(rig, bad) == [None, None]
        rig, _ = refused(large)
        rig.ask(m.CloseSession, rig.session)
        rig.turn()
        rig.says("g1", m.SessionEnded(rig.session))
        check_idle(rig.core)


def test_it_goes_with_its_governor_or_file_and_nothing_is_made_again() -> None:
    for loss in ("governor", "file"):
        rig, (bad, _after) = refused()
        rig.governor("g2")
        if loss == "governor":
            rig.gone("g1")
        else:
            rig.says("g1", m.ObjectsLost(list(bad.outputs), "file is gone"))
        rig.turn()
        assert located(rig, bad) == [None, None]
        assert rig.state(bad) == "failed"
        assert rig.told("g2", m.Assign) == []


def test_it_may_move_to_disk() -> None:
    rig, (bad, _after) = refused()
    file = m.LocalFile("/disk/1", 1, LARGE, 0)
    rig.says("g1", m.Moved([(bad.outputs[0], file)]))
    assert located(rig, bad)[0].location.replicas[0].file == file


def test_outputs_that_are_there_by_right_stay() -> None:
    """A task that ran again for one lost output, and returns something else this time."""
    rig = Rig()
    rig.governor("g1", cpus=1.0)
    task = rig.task(outputs=2)
    first, second = task.outputs
    rig.submit(task, keep=[first, second])
    rig.turn()
    rig.finish(task, large=True)
    rig.turn()
    rig.says("g1", m.ObjectsLost([second], "file is gone"))
    rig.turn()
    rig.refuse(task, large=True)
    rig.turn()
    assert [rig.state(task), rig.state(first), rig.state(second)] == ["failed", "finished", "failed"]
    assert located(rig, task)[0] is None
    assert located(rig, task, refused=False)[0] is not None
