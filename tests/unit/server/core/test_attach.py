"""What an attached session is told, and how much of it the server remembers."""

from __future__ import annotations

from typing import Any

import pytest

from rain.common.ids import ID
from rain.common.location import Inline
from rain.common.protocol import messages as m
from rain.common.spec import ObjectSpec
from rain.server.core import events as ev
from rain.server.core import objects
from rain.server.core.lifecycle import submit
from rain.server.records import session as session_record
from tests.unit.server.rig import ENV, Rig


def attached(rig: Rig) -> list[m.Attached]:
    """All pieces of the answer to another client that attaches."""
    rig.step(ev.ClientJoined("d"))
    count = len(rig.to_client)
    rig.ask(m.Attach, rig.session, client="d")
    return [said for said in rig.to_client[count:] if isinstance(said, m.Attached)]


def finished(rig: Rig, count: int, keep: bool = False) -> list[Any]:
    made = [rig.task() for _ in range(count)]
    rig.submit(*made, keep=[id for task in made for id in task.outputs] if keep else None)
    for task in made:
        rig.turn()
        rig.finish(task)
    rig.turn()
    return made


def test_everything_comes_back_with_its_place_in_the_code() -> None:
    rig = Rig(persistent=True)
    rig.governor(cpus=4)
    function = rig.constant(b"f")
    first, second = rig.task(function=function), rig.task()
    value = rig.id()
    objects_ = [ObjectSpec(id) for id in (value, *first.outputs, *second.outputs)]
    sites = [("Cell In[1], line 2", "frames"), ("Cell In[2], line 1", "frames")]
    constant = m.Constant(value, Inline(b"v", 1))
    answer = rig.ask(m.Submit, rig.session, [first, second], objects_, [constant], first.outputs, False, sites, [1, 0])
    assert isinstance(answer, m.Done)
    rig.turn()
    rig.finish(first)
    (told,) = attached(rig)
    assert [told.sites[place] for place in told.made] == [sites[1], sites[0]]
    assert told.hidden == [function]
    assert told.keep == first.outputs
    assert (told.last_number, told.released, told.more) == (rig.number, 0, False)
    assert [update.state.value for update in told.states] == ["finished", "ready"]


def test_places_are_remembered_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submit, "CALL_SITES_MAX", 2)
    rig = Rig(persistent=True)
    tasks = [rig.task() for _ in range(4)]
    objects_ = [ObjectSpec(id) for task in tasks for id in task.outputs]
    sites = [(f"line {number}", "frames") for number in range(4)]
    rig.ask(m.Submit, rig.session, tasks, objects_, [], [], False, sites, [0, 1, 2, 3])
    (told,) = attached(rig)
    assert [told.sites[place] for place in told.made] == sites
    assert len(rig.core.state.graph.sessions[rig.session].call_sites) == 2


@pytest.mark.parametrize("made", [[5], [-1], [0, 0, 0]])
def test_wrong_places_are_left_out(made: list[int]) -> None:
    rig = Rig(persistent=True)
    task = rig.task()
    objects_ = [ObjectSpec(id) for id in task.outputs]
    rig.ask(m.Submit, rig.session, [task], objects_, [], [], False, [("x" * 20_000, "")], made)
    (told,) = attached(rig)
    assert [told.sites[place] for place in told.made] == [("", "")]


def test_a_session_that_is_looked_at_stays_whose_it_is() -> None:
    rig = Rig(persistent=True)
    rig.governor()
    rig.step(ev.ClientJoined("d"))
    (task,) = finished(rig, 1, keep=True)
    refused = rig.ask(m.GetOutput, [task.id], client="d")
    assert refused.message == f"session {rig.session} is not open"
    told = rig.ask(m.Attach, "test", True, client="d")
    assert (told.session_id, told.look, told.more) == (rig.session, True, False)
    assert [update.state.value for update in told.states] == ["finished"]
    assert isinstance(rig.ask(m.GetOutput, [task.id], client="d"), m.Output)
    assert isinstance(rig.ask(m.Explain, task.id, client="d"), m.Info)
    assert isinstance(rig.ask(m.Locate, rig.session, task.outputs, client="d"), m.Located)
    for change in (m.Cancel, m.Unkeep, m.CloseSession):
        fields = [] if change is m.CloseSession else [None if change is m.Cancel else task.outputs]
        assert isinstance(rig.ask(change, rig.session, *fields, client="d"), m.Failed), change
    count = len(rig.to_client)
    later = rig.task()
    rig.submit(later)
    rig.turn()
    assert isinstance(rig.ask(m.Locate, rig.session, task.outputs), m.Located), "its own client goes on"
    assert not [said for said in rig.to_client[count:] if isinstance(said, m.SessionStopped)]
    assert "no persistent session" in rig.ask(m.Attach, "another", True, client="d").message


def test_the_oldest_finished_tasks_are_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_record, "HISTORY_BYTES_MAX", 3 * objects.RECORD_BYTES + 100)
    rig = Rig(persistent=True)
    rig.governor(cpus=4)
    kept = finished(rig, 1, keep=True)[0]
    made = finished(rig, 5)
    (told,) = attached(rig)
    assert [spec.id for spec in told.tasks] == [task.id for task in made[2:]]
    assert told.released == 3
    assert told.last_number == rig.number
    assert kept.outputs[0] in [spec.id for spec in told.objects]
    assert isinstance(rig.ask(m.Unkeep, rig.session, kept.outputs, client="d"), m.Done)
    assert kept.outputs[0][1] not in rig.core.state.graph.sessions[rig.session].objects
    answer = rig.ask(m.Update, rig.session, [made[0].id, made[0].outputs[0], kept.outputs[0]], client="d")
    assert [update.state.value for update in [*answer.tasks, *answer.objects]] == ["finished", "removed", "removed"]
    again = rig.ask(m.Submit, rig.session, [made[0]], [], [], [], client="d")
    assert "was submitted before" in again.message


def test_large_sessions_come_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    from rain.server.core import attach

    monkeypatch.setattr(attach, "BATCH_BYTES_TARGET", 1000)
    rig = Rig(persistent=True)
    rig.governor(cpus=4)
    made = finished(rig, 30)
    pieces = attached(rig)
    assert len(pieces) > 5
    assert [piece.more for piece in pieces] == [True] * (len(pieces) - 1) + [False]
    assert [spec.id for piece in pieces for spec in piece.tasks] == [task.id for task in made]
    assert all(len(piece.made) == len(piece.tasks) == len(piece.states) for piece in pieces)


def test_large_arguments_go_with_their_task() -> None:
    rig = Rig(persistent=True)
    rig.governor()
    value = ID(rig.session, 1000)
    task = rig.task(value)
    constant = m.Constant(value, Inline(b"x", 1), ephemeral=True)
    rig.submit(task, more_objects=[ObjectSpec(value)], more_constants=[constant])
    rig.turn()
    rig.finish(task)
    (told,) = attached(rig)
    assert value not in [spec.id for spec in told.objects]
    assert told.tasks[0].inputs[0].id == value


def test_a_session_that_is_stopped_while_no_client_has_it_leaves_nothing() -> None:
    rig = Rig(persistent=True, on_failure="stop")
    rig.governor()
    task = rig.task()
    rig.submit(task)
    rig.turn()
    rig.step(ev.ClientGone("c"))
    rig.fail(task)
    rig.turn()
    assert [message.session_id for message in rig.told("g1", m.EndSession)] == [rig.session]
    rig.says("g1", m.SessionEnded(rig.session))
    assert not rig.core.state.graph.sessions


# -- sessions whose client may come back -----------------------------------------------------------


def _gone(rig: Rig, waits_s: float = 600.0) -> None:
    rig.step(ev.ClientGone(rig.client, waits_s))
    rig.step(ev.ClientJoined("d"))


def test_a_session_waits_for_its_client_and_goes_on_meanwhile() -> None:
    rig = Rig()
    rig.governor()
    task = rig.task()
    rig.submit(task, keep=task.outputs)
    rig.turn()
    rig.start(task)
    _gone(rig)
    rig.now += 100.0
    summary = rig.ask(m.GetServerInfo, client="d").sessions[0]
    assert (summary.client, summary.waits_s, summary.persistent) == (None, 500.0, False)
    rig.finish(task)
    told = rig.ask(m.Attach, rig.session, client="d")
    assert (told.persistent, told.keep) == (False, task.outputs)
    assert [(update.id, update.state.value) for update in told.object_states] == [(task.outputs[0], "finished")]
    rig.now += 1000.0
    rig.step(ev.Tick())
    summary = rig.ask(m.GetServerInfo, client="d").sessions[0]
    assert (summary.client, summary.waits_s) == ("d", None)


def test_a_session_that_no_client_wants_ends_in_time() -> None:
    rig = Rig()
    rig.governor()
    task = rig.task()
    rig.submit(task)
    rig.turn()
    _gone(rig)
    rig.now += 599.0
    rig.step(ev.Tick())
    assert len(rig.ask(m.GetServerInfo, client="d").sessions) == 1
    rig.now += 1.0
    rig.step(ev.Tick())
    rig.turn()
    rig.says("g1", m.SessionEnded(rig.session))
    assert rig.ask(m.GetServerInfo, client="d").sessions == []
    assert not rig.core.state.unclaimed


def test_a_client_that_left_leaves_nothing_that_waits() -> None:
    rig = Rig()
    rig.step(ev.ClientSaid(rig.client, m.Goodbye()))
    _gone(rig)
    assert rig.ask(m.GetServerInfo, client="d").sessions == []


def test_an_attached_session_ends_with_its_new_client() -> None:
    rig = Rig()
    _gone(rig)
    rig.ask(m.Attach, None, client="d")
    rig.step(ev.ClientGone("d"))
    rig.step(ev.ClientJoined("e"))
    assert rig.ask(m.GetServerInfo, client="e").sessions == []


def test_the_only_one_that_waits_needs_no_name() -> None:
    rig = Rig()
    rig.step(ev.ClientJoined("d"))
    failed = rig.ask(m.Attach, None, client="d")
    assert failed.message == "no session waits for a client"
    failed = rig.ask(m.Attach, "test", client="d")
    assert failed.message == "there is no persistent session 'test', and none that waits for its client"
    rig.ask(m.NewSession, "other", "continue", False, ENV)
    _gone(rig)
    failed = rig.ask(m.Attach, None, client="d")
    assert failed.message == (
        "several sessions wait for a client; attach one by its number: 1 'test' (no tasks), 2 'other' (no tasks)"
    )


def test_a_stop_of_a_session_that_waits_closes_it() -> None:
    rig = Rig(on_failure="stop")
    rig.governor()
    task = rig.task()
    rig.submit(task)
    rig.turn()
    _gone(rig)
    rig.fail(task)
    rig.turn()
    rig.says("g1", m.SessionEnded(rig.session))
    assert rig.ask(m.GetServerInfo, client="d").sessions == []
    assert not rig.core.state.unclaimed
