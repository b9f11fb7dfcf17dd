"""The executor protocol cbor-1 as bytes: what is sent to foreign executors, and what they may send.

Theory of operation
-------------------
A frame is a little-endian ``u32`` length and one CBOR item ``[message, data]``. Nothing here does IO. Everything that
comes in is checked, field by field, before anybody sees it: an executor may be any program. What it says beyond the
protocol is ignored; what is wrong is a `Cbor1Error`.

Outgoing specs and infos hold no empty values and no fields but the protocol's, since existing executors refuse others.
"""

from __future__ import annotations

import datetime
import json
import reprlib
import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import cbor2

from rain.common.errors import RainException
from rain.common.ids import ID
from rain.common.limits import CBOR_FRAME_BYTES_MAX, DEBUG_BYTES_MAX, RESULT_BYTES_MAX
from rain.common.protocol.encoding import encode, safe
from rain.common.protocol.messages import ExecutorTask
from rain.common.spec import ObjectInfo, ObjectSpec, TaskInfo, TaskSpec
from rain.objects.content_types import cbor

PROTOCOL = "cbor-1"
_LENGTH = struct.Struct("<I")
_DEPTH_MAX = 32
_ID_MAX = 1 << 31
_SHOWN_CHARS = 80


class Cbor1Error(RainException):
    """An executor sent what cbor-1 does not allow. The text continues a sentence that begins with the executor."""


class Memory(NamedTuple):
    """Bytes inside of the message."""

    data: bytes


class Path(NamedTuple):
    """A file or directory."""

    path: str


class OtherObject(NamedTuple):
    """A result that is one of the inputs."""

    id: ID


class Cached(NamedTuple):
    """An input that the executor holds."""


Location: TypeAlias = Memory | Path | OtherObject | Cached


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


# -- frames ------------------------------------------------------------------------------------------------


def encode_frame(message: str, data: Mapping[str, Any]) -> bytes:
    """One frame.

    Raises
    ------
    Cbor1Error
        If `data` holds something that has no CBOR form, or is too long.
    """
    try:
        try:
            item = cbor.dumps([message, data])
        except UnicodeEncodeError:
            item = cbor.dumps(safe([message, data]))
    except (cbor2.CBOREncodeError, ValueError, TypeError, RecursionError) as error:
        raise Cbor1Error(f"cannot be sent the {message}: {error}") from None
    if len(item) > CBOR_FRAME_BYTES_MAX:
        raise Cbor1Error(
            f"cannot be sent a {message} of {len(item)} bytes; CBOR_FRAME_BYTES_MAX is {CBOR_FRAME_BYTES_MAX}"
        )
    return _LENGTH.pack(len(item)) + item


class FrameReader:
    """Cuts what a socket gives into messages.

    Examples
    --------
    >>> reader = FrameReader()
    >>> frame = encode_frame("drop_cached", {"objects": []})
    >>> list(reader.feed(frame[:9])), list(reader.feed(frame[9:]))
    ([], [('drop_cached', {'objects': []})])
    """

    def __init__(self, bytes_max: int = CBOR_FRAME_BYTES_MAX) -> None:
        self._buffer = bytearray()
        self._bytes_max = bytes_max

    def feed(self, data: bytes) -> Iterator[tuple[str, dict[str, Any]]]:
        """Take bytes, yield the messages that are now whole.

        Raises
        ------
        Cbor1Error
            If a frame is too long, or is not a message.
        """
        buffer = self._buffer
        buffer += data
        start = 0
        try:
            while len(buffer) - start >= _LENGTH.size:
                (length,) = _LENGTH.unpack_from(buffer, start)
                if length > self._bytes_max:
                    raise Cbor1Error(
                        f"announced a frame of {length} bytes; CBOR_FRAME_BYTES_MAX is {self._bytes_max} bytes"
                    )
                end = start + _LENGTH.size + length
                if len(buffer) < end:
                    return
                item = bytes(memoryview(buffer)[start + _LENGTH.size : end])
                start = end
                yield decode_item(item)
        finally:
            del buffer[:start]


def decode_item(item: bytes) -> tuple[str, dict[str, Any]]:
    """The message in a frame.

    Raises
    ------
    Cbor1Error
        If it is not CBOR, or not of the form ``[message, data]``.
    """
    try:
        value = cbor.loads(item)
    except Exception as error:  # beside its own errors the library lets those of the values' constructors through
        raise Cbor1Error(f"sent a frame of {len(item)} bytes that is not CBOR: {error}") from None
    if not (isinstance(value, list) and len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], dict)):
        raise Cbor1Error(f"sent {_shown(value)} instead of [message, data]")
    return value[0], value[1]


# -- to the executor ---------------------------------------------------------------------------------------


def encode_call(task: ExecutorTask, locations: Sequence[Location], hints: Sequence[bool]) -> bytes:
    """The ``call`` frame of a task.

    Parameters
    ----------
    task : ExecutorTask
    locations : sequence of Location
        Where each input is.
    hints : sequence of bool
        For each input, whether the executor should cache it.

    Raises
    ------
    Cbor1Error
        If the task's config or the user's values cannot be sent, or it is too long.
    """
    inputs = [
        {
            "spec": object_spec_fields(value.spec),
            "info": object_info_fields(value.info),
            "location": location_item(location),
            "cache_hint": hint,
        }
        for value, location, hint in zip(task.inputs, locations, hints, strict=True)
    ]
    outputs = [{"spec": object_spec_fields(spec)} for spec in task.outputs]
    return encode_frame("call", {"spec": task_spec_fields(task.spec), "inputs": inputs, "outputs": outputs})


def encode_drop_cached(objects: Sequence[ID]) -> bytes:
    """The ``drop_cached`` frame of these objects."""
    return encode_frame("drop_cached", {"objects": [list(id) for id in objects]})


def task_spec_fields(spec: TaskSpec) -> dict[str, Any]:
    """A task's spec as the protocol has it."""
    return _filled(
        id=list(spec.id),
        task_type=spec.task_type,
        config=spec.config,
        inputs=[_filled(id=list(wanted.id), label=wanted.label) for wanted in spec.inputs],
        outputs=[list(id) for id in spec.outputs],
        resources={name: int(amount) if amount == int(amount) else amount for name, amount in spec.resources.items()},
        name=spec.name,
        user=spec.user,
    )


def object_spec_fields(spec: ObjectSpec) -> dict[str, Any]:
    """An object's spec as the protocol has it."""
    return _filled(
        id=list(spec.id),
        label=spec.label,
        content_type=spec.content_type,
        data_type=spec.data_type,
        size_hint=spec.size_hint,
        user=spec.user,
    )


def object_info_fields(info: ObjectInfo) -> dict[str, Any]:
    """An object's info as the protocol has it."""
    return _filled(error=info.error, size=info.size, content_type=info.content_type, debug=info.debug, user=info.user)


def location_item(location: Location) -> Any:
    """A location as the protocol has it."""
    match location:
        case Memory(data):
            return ["memory", data]
        case Path(path):
            return ["path", path]
        case OtherObject(id):
            return ["other_object", list(id)]
        case Cached():
            return "cached"


def _filled(**fields: Any) -> dict[str, Any]:
    """The fields that are not empty; numbers and False are never empty."""
    return {
        name: value
        for name, value in fields.items()
        if value is not None and not (isinstance(value, (str, bytes, list, tuple, dict)) and not value)
    }


# -- from the executor -------------------------------------------------------------------------------------


def check_register(message: str, data: Mapping[str, Any], executor_type: str) -> None:
    """See that an executor's first message is the right one.

    Raises
    ------
    Cbor1Error
        If it is not.
    """
    if message != "register":
        raise Cbor1Error(f"sent the message {_shown(message)} before it registered")
    if data.get("protocol") != PROTOCOL:
        raise Cbor1Error(f"speaks the protocol {_shown(data.get('protocol'))}; this governor speaks {PROTOCOL!r}")
    if data.get("executor_type") != executor_type:
        raise Cbor1Error(
            f"registered as type {_shown(data.get('executor_type'))}; the governor's configuration calls it "
            f"{executor_type!r}"
        )


def decode_result(data: Mapping[str, Any], task: ExecutorTask) -> ForeignResult:
    """The ``result`` message that answers `task`.

    Raises
    ------
    Cbor1Error
        If it is not a result, or one of another task.
    """
    if _id(data.get("task"), "task") != task.spec.id:
        raise Cbor1Error(f"sent a result of task {_shown(data.get('task'))} while it ran task {task.spec.id}")
    success = data.get("success")
    if not isinstance(success, bool):
        raise Cbor1Error(f"sent a result whose success is {_shown(success)} instead of true or false")
    info, error = _task_info(_mapping(data.get("info"), "info"))
    cached = [_id(item, "cached_objects") for item in _list(data.get("cached_objects"), "cached_objects")]
    _check_size(info.user)
    if not success:
        return ForeignResult(task.spec.id, error or "the executor gave no reason", info, [], cached)
    items = _list(data.get("outputs"), "outputs")
    if len(items) != len(task.outputs):
        raise Cbor1Error(f"sent {len(items)} outputs of a task that has {len(task.outputs)}")
    outputs = []
    for item in items:
        output = _mapping(item, "outputs")
        outputs.append((_object_info(_mapping(output.get("info"), "info")), _location(output.get("location"))))
    _check_size([info.user, *(made.user for made, _ in outputs), *(made.content_type for made, _ in outputs)])
    return ForeignResult(task.spec.id, None, info, outputs, cached)


def _check_size(said: Any) -> None:
    """See that what an executor says of a task can go on to the server and the client."""
    size = len(encode(said))
    if size > RESULT_BYTES_MAX:
        raise Cbor1Error(f"sent {size} bytes of infos with a result; RESULT_BYTES_MAX is {RESULT_BYTES_MAX} bytes")


def _task_info(fields: Mapping[str, Any]) -> tuple[TaskInfo, str | None]:
    error = _text(fields, "error")
    info = TaskInfo(start_time=_start_time(_text(fields, "start_time")), debug=_debug(fields), user=_user(fields))
    duration = fields.get("duration")
    if isinstance(duration, (int, float)) and not isinstance(duration, bool) and 0 <= duration < _ID_MAX:
        info.duration = float(duration)
    return info, _unquoted(error)


def _object_info(fields: Mapping[str, Any]) -> ObjectInfo:
    return ObjectInfo(content_type=_text(fields, "content_type") or None, debug=_debug(fields), user=_user(fields))


def _location(item: Any) -> Location:
    if isinstance(item, list) and len(item) == 2:
        kind, value = item
        if kind == "memory" and isinstance(value, bytes):
            return Memory(value)
        if kind == "path" and isinstance(value, str):
            return Path(value)
        if kind == "other_object":
            return OtherObject(_id(value, "location"))
    raise Cbor1Error(f"sent an output with the location {_shown(item)}")


def _id(item: Any, field: str) -> ID:
    if (
        isinstance(item, list)
        and len(item) == 2
        and all(type(number) is int and 0 <= number < _ID_MAX for number in item)
    ):
        return ID(*item)
    raise Cbor1Error(f"sent {_shown(item)} in {field!r} instead of an id [session, id]")


def _mapping(item: Any, field: str) -> dict[str, Any]:
    if item is None:
        return {}
    if not isinstance(item, dict):
        raise Cbor1Error(f"sent {_shown(item)} as {field!r} instead of a map")
    return item


def _list(item: Any, field: str) -> list[Any]:
    if item is None:
        return []
    if not isinstance(item, list):
        raise Cbor1Error(f"sent {_shown(item)} as {field!r} instead of an array")
    return item


def _text(fields: Mapping[str, Any], field: str) -> str | None:
    value = fields.get(field)
    if value is not None and not isinstance(value, str):
        raise Cbor1Error(f"sent {_shown(value)} as {field!r} instead of a string")
    return value


def _debug(fields: Mapping[str, Any]) -> str:
    return (_text(fields, "debug") or "")[:DEBUG_BYTES_MAX]


def _user(fields: Mapping[str, Any]) -> dict[str, Any]:
    user = _mapping(fields.get("user"), "user")
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
    raise Cbor1Error(f"sent {_shown(value)} in 'user', which is not JSON")


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


class _Short(reprlib.Repr):
    """`repr` whose cost does not grow with the value."""

    def repr_bytes(self, value: bytes, _level: int) -> str:
        return f"{len(value)} bytes"


_short = _Short()


def _shown(value: Any) -> str:
    """A value from outside, short enough for an error's text."""
    try:
        text = _short.repr(value)
    except Exception:  # as of an integer with too many digits
        text = f"a value of type {type(value).__name__}"
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}…"
