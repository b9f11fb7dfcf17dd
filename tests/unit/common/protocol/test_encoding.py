"""Text that has no UTF-8 form, in each place where text is encoded."""

from __future__ import annotations

import msgspec
import pytest

from rain.common.ids import ID
from rain.common.protocol.encoding import encode, encode_json, safe, sendable
from rain.common.protocol.messages import ExecutorTask, Failed, SessionUpdate, TaskResult, TaskUpdate
from rain.common.spec import ObjectInfo, ObjectSpec, TaskError, TaskInfo, TaskSpec
from rain.common.states import TaskState
from rain.executor.loop import encoded
from rain.governor.pools.cbor1 import calls, frames
from rain.server.core.effects import Happened
from rain.server.event_log.event_log import EventLog
from rain.server.event_log.queries import Query

BAD = "caf\udce9 \ud800"
GOOD = "caf\\udce9 \\ud800"


def test_messages_arrive_whatever_text_is_in_them() -> None:
    error = TaskError("exception", BAD, b"\xff\xfe", [BAD])
    info = TaskInfo(error=BAD, debug=BAD, user={BAD: [BAD, {"deep": (BAD,)}]})
    news = SessionUpdate(3, [TaskUpdate(ID(3, 1), TaskState.FAILED, info, error)], [])
    came = msgspec.msgpack.decode(encode(news), type=SessionUpdate)
    assert came.tasks[0].error == TaskError("exception", GOOD, b"\xff\xfe", [GOOD])
    assert came.tasks[0].info == TaskInfo(error=GOOD, debug=GOOD, user={GOOD: [GOOD, {"deep": [GOOD]}]})
    assert came.tasks[0].state is TaskState.FAILED
    assert news.tasks[0].error is error, "what is sent is not changed here"
    assert msgspec.msgpack.decode(encode(Failed(1, "rain", BAD)), type=Failed).message == GOOD


def test_a_result_is_not_lost_because_of_its_text() -> None:
    result = TaskResult(ID(1, 1), 1, TaskInfo(debug=BAD, user={"x": 1}), [], None, b"\xff", b"\xfe")
    came = msgspec.msgpack.decode(encoded(result), type=TaskResult)
    assert (came.error, came.info.debug, came.info.user, came.stdout) == (None, GOOD, {"x": 1}, b"\xff")


def test_what_is_plain_is_encoded_as_always() -> None:
    for value in ({"a": ["ä", 1, None, b"\xff", 1.5]}, ID(1, 2), TaskError("rain", "daß")):
        assert encode(value) == msgspec.msgpack.encode(value)
        assert msgspec.msgpack.encode(safe(value)) == msgspec.msgpack.encode(value)
    assert sendable([1, "ä"]) == [1, "ä"]


def test_json_and_what_goes_to_a_browser() -> None:
    assert msgspec.json.decode(encode_json({BAD: BAD})) == {GOOD: GOOD}
    assert sendable({"error": BAD}) == {"error": GOOD}


def test_what_has_no_form_at_all_is_still_an_error() -> None:
    with pytest.raises(TypeError):
        encode({BAD: object()})


def test_calls_of_foreign_executors() -> None:
    spec = TaskSpec(ID(1, 1), "example/hello", {"greeting": BAD}, name=BAD)
    task = ExecutorTask(1, 1, spec, [], [ObjectSpec(ID(1, 2), BAD)])
    _, fields = frames.decode_item(calls.encode_call(task, [], [])[4:])
    assert fields["spec"]["config"] == {"greeting": GOOD}
    assert fields["spec"]["name"] == fields["outputs"][0]["spec"]["label"] == GOOD
    assert calls.object_info_fields(ObjectInfo(error=BAD)) == {"error": BAD}


def test_events(tmp_path) -> None:  # type: ignore[no-untyped-def]
    log = EventLog(str(tmp_path / "events.sqlite"))
    log.add(Happened("ClientInvalidRequest", None, None, {"message": BAD}))
    log.add(Happened("ClientInvalidRequest", None, None, {"message": "plain"}))
    log.push()
    log.flush()
    assert [record.values["message"] for record in log.query(Query())] == [GOOD, "plain"]
    log.close()
