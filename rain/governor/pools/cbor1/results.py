"""What foreign executors may say in cbor-1: that they are there, and how a task ended.

What comes in is checked against the types below before any other module sees it: an executor may be any program.
Fields beyond the protocol are ignored; what is wrong is a `Cbor1Error`, which names the field, what came and what was
expected.
"""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeVar

import msgspec

from rain.common.ids import ID
from rain.common.limits import DEBUG_BYTES_MAX, RESULT_BYTES_MAX
from rain.common.protocol.encoding import encode
from rain.common.protocol.messages import ExecutorTask
from rain.common.spec import ObjectInfo, TaskInfo
from rain.governor.pools.cbor1.frames import Cbor1Error, shown
from rain.governor.pools.cbor1.locations import BUILTIN_TYPES, Location, Memory, OtherObject, Path

PROTOCOL = "cbor-1"
_DEPTH_MAX = 32
_DURATION_S_MAX = float(1 << 31)
_T = TypeVar("_T")


class _Info(msgspec.Struct):
    debug: str | None = None
    user: dict[Any, Any] | None = None
    """Looked through by `_checked_user`."""


class _TaskSaid(_Info):
    error: str | None = None
    start_time: str | None = None
    duration: Any = None
    """Ignored if it is no duration."""


class _ObjectSaid(_Info):
    content_type: str | None = None


class _Output(msgspec.Struct):
    location: Memory | Path | OtherObject
    info: _ObjectSaid | None = None


class _Result(msgspec.Struct):
    """A ``result`` message; its outputs only matter if it tells of a success."""

    task: ID
    success: bool
    info: _TaskSaid | None = None
    outputs: Any = None
    cached_objects: list[ID] | None = None


class ForeignResult(NamedTuple):
    """A ``result`` message.

    Attributes
    ----------
    task : ID
    error : str or None
        None if the task succeeded.
    info : TaskInfo
    outputs : list of (ObjectInfo, Location)
        As many as the task has, if it succeeded.
    cached : list of ID
        Objects that the executor holds now.
    """

    task: ID
    error: str | None
    info: TaskInfo
    outputs: list[tuple[ObjectInfo, Location]]
    cached: list[ID]


def check_register(message: str, data: Mapping[str, Any], executor_type: str) -> None:
    """See that an executor's first message is the right one.

    Raises
    ------
    Cbor1Error
        If it is not.
    """
    if message != "register":
        raise Cbor1Error(f"sent the message {shown(message)} before it registered")
    if data.get("protocol") != PROTOCOL:
        raise Cbor1Error(f"speaks the protocol {shown(data.get('protocol'))}; this governor speaks {PROTOCOL!r}")
    if data.get("executor_type") != executor_type:
        raise Cbor1Error(
            f"registered as type {shown(data.get('executor_type'))}; the governor's configuration calls it "
            f"{executor_type!r}"
        )


def decode_result(data: Mapping[str, Any], task: ExecutorTask) -> ForeignResult:
    """The ``result`` message that answers `task`.

    Raises
    ------
    Cbor1Error
        If it is not a result, or one of another task.
    """
    result = _converted(data, _Result, "")
    if result.task != task.spec.id:
        raise Cbor1Error(f"sent a result of task {result.task} while it ran task {task.spec.id}")
    said = result.info or _TaskSaid()
    info = _task_info(said)
    cached = result.cached_objects or []
    _check_size(info.user)
    if not result.success:
        return ForeignResult(task.spec.id, _unquoted(said.error) or "the executor gave no reason", info, [], cached)
    made = _converted([] if result.outputs is None else result.outputs, list[_Output], "outputs")
    if len(made) != len(task.outputs):
        raise Cbor1Error(f"sent {len(made)} outputs of a task that has {len(task.outputs)}")
    outputs: list[tuple[ObjectInfo, Location]] = [
        (_object_info(output.info or _ObjectSaid()), output.location) for output in made
    ]
    _check_size([info.user, *(of.user for of, _ in outputs), *(of.content_type for of, _ in outputs)])
    return ForeignResult(task.spec.id, None, info, outputs, cached)


_FORMS = {
    "task": "an id [session, id]",
    "cached_objects": "an array of ids [session, id]",
    "location": '["memory", bytes], ["path", string] or ["other_object", [session, id]]',
}
"""Fields of which an error tells the whole value and its form, rather than what is wrong inside of it."""


def _converted(value: Any, kind: type[_T], name: str) -> _T:
    """`value`, which came as the field `name` (empty: as the whole message), as a `kind`.

    Raises
    ------
    Cbor1Error
        If it is none.
    """
    try:
        return msgspec.convert(value, kind, builtin_types=BUILTIN_TYPES)
    except msgspec.ValidationError as error:
        reason, _, path = str(error).partition(" - at ")
    steps: list[str | int] = []
    for field, index in re.findall(r"\.(\w+)|\[(\d+)\]", path):
        step = field or int(index)
        value = value.get(step) if field else value[step]
        steps.append(step)
        if step in _FORMS:
            reason = f"expected {_FORMS[step]}"
            break
    where = name + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)
    field = f"{where.lstrip('.')!r} of a result" if where else "a result"
    reason = reason.replace("Object", "map").replace("`object", "`map").replace("Expected", "expected")
    raise Cbor1Error(f"sent {shown(value)} as {field}: {reason}")


def _check_size(said: Any) -> None:
    """See that what an executor says of a task can go on to the server and the client."""
    size = len(encode(said))
    if size > RESULT_BYTES_MAX:
        raise Cbor1Error(f"sent {size} bytes of infos with a result; RESULT_BYTES_MAX is {RESULT_BYTES_MAX} bytes")


def _task_info(said: _TaskSaid) -> TaskInfo:
    info = TaskInfo(start_time=_start_time(said.start_time), debug=_debug(said), user=_checked_user(said))
    duration = said.duration
    if isinstance(duration, (int, float)) and not isinstance(duration, bool) and 0 <= duration < _DURATION_S_MAX:
        info.duration = float(duration)
    return info


def _object_info(said: _ObjectSaid) -> ObjectInfo:
    return ObjectInfo(content_type=said.content_type or None, debug=_debug(said), user=_checked_user(said))


def _debug(said: _Info) -> str:
    return (said.debug or "")[:DEBUG_BYTES_MAX]


def _checked_user(said: _Info) -> dict[str, Any]:
    user = said.user or {}
    _check_json(user, _DEPTH_MAX)
    return user


def _check_json(value: Any, depth: int) -> None:
    """See that a value is one that JSON has too (a tag can make anything of it, also a loop)."""
    if depth == 0:
        raise Cbor1Error(f"sent a value in 'user' that is deeper than {_DEPTH_MAX}")
    if value is None or isinstance(value, (bool, float, str)):
        return
    if isinstance(value, int) and -(1 << 63) <= value < 1 << 64:
        return
    if isinstance(value, list):
        for item in value:
            _check_json(item, depth - 1)
        return
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        for item in value.values():
            _check_json(item, depth - 1)
        return
    raise Cbor1Error(f"sent {shown(value)} in 'user', which is not JSON")


def _unquoted(error: str | None) -> str | None:
    """Some executors wrap their message in JSON quotes."""
    if error is not None and len(error) > 1 and error.startswith('"') and error.endswith('"'):
        try:
            inner = json.loads(error)
        except ValueError:
            return error
        if isinstance(inner, str):
            return inner
    return error


def _start_time(text: str | None) -> float | None:
    """Seconds since the epoch; None for what is no ISO time. A time without a zone is UTC."""
    if not text:
        return None
    try:
        moment = datetime.datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
