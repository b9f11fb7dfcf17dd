"""The client's core without a shell: events in, effects out, operations that are resumed by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from rain.client.core import effects as do
from rain.client.core import events as ev
from rain.client.core import sessions
from rain.client.core.core import ClientCore
from rain.client.core.errors import SessionEnded, TaskFailed
from rain.client.core.operations import governors, keeps, submits, waits
from rain.client.core.records import ObjectRecord, Record, TaskRecord
from rain.client.core.session_mirror import SessionMirror
from rain.client.core.waiting import Operation, Waiting
from rain.client.operations.encoding import encode
from rain.common.errors import RainException
from rain.common.ids import ID
from rain.common.protocol import messages as m
from rain.common.spec import ObjectSpec, TaskError, TaskSpec
from rain.common.states import TaskState

ENV = m.SessionEnv("h", "python3", "3.11", [], "/")


class Encoder:
    """Encodes as the real one does; `meanwhile` happens in another thread."""

    def __init__(self, meanwhile: Callable[[], None] = lambda: None) -> None:
        self.meanwhile = meanwhile
        self.was_refused = False

    def encode(self, mirror: SessionMirror, cut: Sequence[Record]) -> list[Any]:
        self.meanwhile()
        return encode(0, mirror.session_id, cut)

    def refused(self) -> None:
        self.was_refused = True

    def describe(self, record: TaskRecord) -> str:
        return "cell 3"


def task(mirror: SessionMirror) -> TaskRecord:
    record = TaskRecord(TaskSpec(ID(1, mirror.next_number()), "a/b"), (), None)
    record.outputs = (ObjectRecord(ObjectSpec(ID(1, mirror.next_number())), record),)
    record.spec.outputs = [record.outputs[0].spec.id]
    mirror.add_task(record)
    return record


def sent(core: ClientCore) -> list[Any]:
    return [message for effect in core.take_effects() if isinstance(effect, do.Send) for message in effect.messages]


def result(core: ClientCore, operation: Operation[Any]) -> Any:
    waiting, ended = core.resume(operation)
    assert waiting is None
    return ended


def wait_of(core: ClientCore, operation: Operation[Any]) -> Waiting:
    """What it waits for after its next step."""
    waiting, _ = core.resume(operation)
    assert waiting is not None
    return waiting


@pytest.fixture
def core() -> ClientCore:
    return ClientCore("127.0.0.1:7210")


@pytest.fixture
def mirror(core: ClientCore) -> SessionMirror:
    opening = sessions.Opening()
    operation = sessions.open_session(core, opening, "s", "continue", False, ENV)
    core.resume(operation)
    (request,) = sent(core)
    core.step(ev.Said([m.SessionOpened(request.request, 1)]), 0.0)
    opened: SessionMirror = result(core, operation)
    return opened


def submitted(core: ClientCore, mirror: SessionMirror) -> int:
    """Submit what is pending; the number of the request."""
    core.resume(submits.submit(core, mirror, Encoder()))
    number: int = sent(core)[-1].request
    return number


def test_what_another_thread_makes_during_a_submit_goes_with_the_next_one(
    core: ClientCore, mirror: SessionMirror
) -> None:
    first = task(mirror)
    made: list[TaskRecord] = []
    core.resume(submits.submit(core, mirror, Encoder(lambda: made.append(task(mirror)))))
    assert [spec.id for message in sent(core) for spec in message.tasks] == [first.spec.id]
    assert list(mirror.pending) == made
    core.resume(submits.submit(core, mirror, Encoder()))
    assert [spec.id for message in sent(core) for spec in message.tasks] == [made[0].spec.id]


def test_a_reply_that_comes_twice_counts_once(core: ClientCore, mirror: SessionMirror) -> None:
    record = task(mirror)
    encoder = Encoder()
    operation = submits.submit(core, mirror, encoder)
    waiting = wait_of(core, operation)
    waiting.waiter = "a thread"
    (message,) = sent(core)
    no = m.Failed(message.request, "rain", "no")
    assert core.step(ev.Said([no, no]), 0.0) == [do.WaitOver(waiting)]
    assert (mirror.submitted, mirror.unfinished, record.state, encoder.was_refused) == (0, 0, None, True)
    assert core.step(ev.Said([no]), 0.0) == []
    with pytest.raises(RainException, match="no"):
        core.resume(operation, None, waiting.error)


def test_an_interrupted_submit_is_sent_once(core: ClientCore, mirror: SessionMirror) -> None:
    task(mirror)
    operation = submits.submit(core, mirror, Encoder())
    core.resume(operation)
    assert len(sent(core)) == 1
    with pytest.raises(KeyboardInterrupt):
        core.resume(operation, None, KeyboardInterrupt())
    result(core, submits.submit(core, mirror, Encoder()))
    assert sent(core) == []


def test_a_wait_looks_again_whatever_woke_it(core: ClientCore, mirror: SessionMirror) -> None:
    record = task(mirror)
    submitted(core, mirror)
    operation = waits.wait(mirror, [record])
    first = wait_of(core, operation)
    core.step(ev.Said([m.SessionUpdate(1, [], [], "no governor is here")]), 0.0)
    assert first.over
    second = wait_of(core, operation)
    assert not second.over
    failed = m.TaskUpdate(record.spec.id, TaskState.FAILED, None, TaskError("exception", "x"))
    core.step(ev.Said([m.SessionUpdate(1, [failed], [])]), 0.0)
    assert second.over
    with pytest.raises(TaskFailed) as caught:
        core.resume(operation)
    assert caught.value.record is record
    assert not mirror.gates


def test_a_server_that_is_new_ends_all_that_waits(core: ClientCore, mirror: SessionMirror) -> None:
    record = task(mirror)
    submitted(core, mirror)
    waiting = [waits.wait(mirror, [record]), waits.wait_all(mirror, True), governors.wait_for_governors(core, 9)]
    waits_for = [wait_of(core, operation) for operation in waiting]
    effects = core.step(ev.Gone("it does not know this client"), 0.0)
    assert do.SessionOver(mirror) in effects
    assert all(one.over for one in waits_for)
    for operation in waiting[:2]:
        with pytest.raises(SessionEnded):
            core.resume(operation)
    with pytest.raises(RainException, match="it does not know this client"):
        core.resume(waiting[2], None, waits_for[2].error)
    with pytest.raises(RainException, match="the server is lost"):
        core.resume(keeps.update(core, mirror, [record]))
    assert core.step(ev.Gone("again"), 0.0) == []


def test_a_session_that_is_not_wanted_any_more_is_closed_whenever_it_opens(core: ClientCore) -> None:
    opening = sessions.Opening()
    operation = sessions.open_session(core, opening, "s", "continue", False, ENV)
    core.resume(operation)
    (request,) = sent(core)
    with pytest.raises(KeyboardInterrupt):
        core.resume(operation, None, KeyboardInterrupt())
    assert core.step(ev.GivenUp(opening), 0.0) == []
    (close,) = [e for e in core.step(ev.Said([m.SessionOpened(request.request, 7)]), 0.0) if isinstance(e, do.Send)]
    assert [(type(message), message.session_id) for message in close.messages] == [(m.CloseSession, 7)]
    assert core.sessions == {}


def test_a_wait_for_governors_that_is_given_up_leaves_what_others_expect(core: ClientCore) -> None:
    """Also while the server has not answered the other: tasks that fit nowhere must not fail meanwhile."""
    patient, hasty = governors.wait_for_governors(core, 3), governors.wait_for_governors(core, 12)
    wait_of(core, patient)
    wait_of(core, hasty)
    assert [message.count for message in sent(core)] == [3, 12]
    with pytest.raises(TimeoutError):
        core.resume(hasty, None, TimeoutError("not in time"))
    assert [message.count for message in sent(core)] == [3]
    with pytest.raises(TimeoutError):
        core.resume(patient, None, TimeoutError("not in time"))
    assert [message.count for message in sent(core)] == [0]
