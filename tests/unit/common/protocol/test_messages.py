"""Every Struct of the wire: what is encoded is decoded the same, newer fields are ignored, garbage is refused."""

from __future__ import annotations

import enum
import functools
import types
import typing
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rain.common import spec, task_configs
from rain.common.errors import RainException
from rain.common.ids import ID
from rain.common.protocol import messages

UNIONS = {
    name: getattr(messages, name)
    for name in (
        "ClientToServer",
        "ServerToClient",
        "GovernorToServer",
        "ServerToGovernor",
        "DataMessage",
        "GovernorToExecutor",
        "ExecutorToGovernor",
        "GovernorToZygote",
        "ZygoteToGovernor",
        "Opening",
    )
}

BASES = {messages.Message, messages.Part, task_configs.Config}

STRUCTS = sorted(
    {
        value
        for module in (messages, spec, task_configs)
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, msgspec.Struct) and value not in BASES
    },
    key=lambda struct: struct.__name__,
)

texts = st.text(max_size=8)
integers = st.integers(min_value=-(2**63), max_value=2**64 - 1)
floats = st.floats(allow_nan=False)
anything = st.recursive(
    st.none() | st.booleans() | integers | floats | texts | st.binary(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)
LEAVES: dict[Any, st.SearchStrategy[Any]] = {
    Any: anything,
    type(None): st.none(),
    bool: st.booleans(),
    int: integers,
    float: floats,
    str: texts,
    bytes: st.binary(max_size=20),
}


@functools.cache
def values_of(kind: Any) -> st.SearchStrategy[Any]:
    """Values of an annotated type, as far as the wire uses them."""
    if kind in LEAVES:
        return LEAVES[kind]
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return st.one_of(*map(values_of, arguments))
    if origin is list:
        return st.lists(values_of(arguments[0]), max_size=2)
    if origin is tuple and arguments[-1] is Ellipsis:
        return st.lists(values_of(arguments[0]), max_size=2).map(tuple)
    if origin is tuple:
        return st.tuples(*map(values_of, arguments))
    if origin is dict:
        return st.dictionaries(values_of(arguments[0]), values_of(arguments[1]), max_size=2)
    if kind is ID:
        return st.builds(ID, integers, integers)
    if issubclass(kind, enum.Enum):
        return st.sampled_from(list(kind))
    fields = {field.name: values_of(field.type) for field in msgspec.structs.fields(kind)}
    return st.fixed_dictionaries(fields).map(lambda given: kind(**given))


@pytest.mark.parametrize("struct", STRUCTS, ids=lambda struct: struct.__name__)
@given(data=st.data())
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
def test_round_trip(struct: type[msgspec.Struct], data: st.DataObject) -> None:
    value = data.draw(values_of(struct))
    encoded = msgspec.msgpack.encode(value)
    decoded = msgspec.msgpack.decode(encoded, type=struct)
    assert decoded == value
    assert msgspec.msgpack.encode(decoded) == encoded
    newer = [*msgspec.msgpack.decode(encoded), "a field of a later version"]
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(newer), type=struct) == value


@pytest.mark.parametrize("name", UNIONS)
@given(data=st.data())
@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
def test_the_messages_of_a_direction_are_told_apart(name: str, data: st.DataObject) -> None:
    member = data.draw(st.sampled_from(typing.get_args(UNIONS[name])))
    value = data.draw(values_of(member))
    decoded = msgspec.msgpack.decode(msgspec.msgpack.encode(value), type=UNIONS[name])
    assert type(decoded) is member
    assert decoded == value


def test_every_message_belongs_to_a_direction() -> None:
    members = {member for union in UNIONS.values() for member in typing.get_args(union)}
    declared = {
        value
        for value in vars(messages).values()
        if isinstance(value, type) and issubclass(value, messages.Message) and value is not messages.Message
    }
    assert declared == members


@pytest.mark.parametrize("name", UNIONS)
@given(data=st.binary(max_size=120))
@settings(max_examples=60, deadline=None)
def test_garbage_is_refused_with_one_kind_of_error(name: str, data: bytes) -> None:
    try:
        msgspec.msgpack.decode(data, type=UNIONS[name])
    except (msgspec.MsgspecError, UnicodeDecodeError):
        pass


def test_a_wrong_config_is_a_clear_error() -> None:
    good = task_configs.SleepConfig(0.5)
    assert task_configs.read_config(good, task_configs.SleepConfig) is good
    assert task_configs.read_config([0.5], task_configs.SleepConfig) == good
    for wrong in (None, [], ["soon"], 7, {"seconds": 1}):
        with pytest.raises(RainException, match="SleepConfig"):
            task_configs.read_config(wrong, task_configs.SleepConfig)


def test_an_exit_code_default_is_not_shared() -> None:
    task_configs.ExecuteConfig(["a"]).exit_codes.append(1)
    assert task_configs.ExecuteConfig(["b"]).exit_codes == [0]
