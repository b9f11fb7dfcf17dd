"""Whether two processes of the server are in the same state, found by a walk through both at once."""

from __future__ import annotations

import types
from collections import deque
from collections.abc import Iterable
from enum import Enum
from functools import cache
from typing import Any

import msgspec

from rain.common.ids import ID
from rain.common.protocol.channel import Channel
from rain.common.spec import TaskInfo
from rain.server.core.state import State

PLAIN = (
    *(int, float, str, bytes, bool, type(None), type, Enum, types.FunctionType, types.BuiltinFunctionType, bytearray),
    TaskInfo,
)
"""What is compared as a value. Infos may have in common what they consist of, as nothing changes that."""
UNIMPORTANT = {"out", "_decoder"}
"""Effects of the present step, which are taken after it; how messages are read."""
ATOMS = {int, float, str, bytes, bool, ID}
MISSING = object()
BY_VALUE = {"user", "config"}
"""Fields of Structs that hold what came as msgpack: an image has them as values, whoever shares them."""
PACKET = msgspec.msgpack.Decoder(tuple[int, int, list[msgspec.Raw]])


class Sameness:
    """A comparison: what one object of the first process is, one object of the second is."""

    def __init__(self) -> None:
        self._met: dict[int, int] = {}
        self._back: dict[int, int] = {}
        self._todo: list[tuple[str, Any, Any]] = []

    def compare_states(self, one: State, other: State) -> None:
        """Find the first difference between two states of a core.

        Raises
        ------
        AssertionError
            If there is one; it tells where.
        """
        self._todo.append(("state", one, other))
        while self._todo:
            self._one(*self._todo.pop())

    def _one(self, path: str, one: Any, other: Any) -> None:
        both_dicts = isinstance(one, dict) and isinstance(other, dict)  # one may be watched
        assert both_dicts or type(one) is type(other), f"{path}: {one!r} was lived, {other!r} replayed"
        if isinstance(one, PLAIN):
            assert one == other, f"{path}: {one!r} was lived, {other!r} replayed"
            return
        if isinstance(one, types.MethodType):
            assert one.__func__ is other.__func__, path
            self._todo.append((path, one.__self__, other.__self__))
            return
        if not isinstance(one, tuple):
            known = self._met.get(id(one))
            if known is not None:
                assert known == id(other), f"{path}: not the same {type(one).__name__}"
                return
            assert id(other) not in self._back, f"{path}: one {type(one).__name__} replayed that lived were two"
            self._met[id(one)], self._back[id(other)] = id(other), id(one)
        self._parts(path, one, other)

    def _parts(self, path: str, one: Any, other: Any) -> None:
        todo = self._todo
        if isinstance(one, dict):
            assert len(one) == len(other), f"{path}: {list(one)} lived, {list(other)} replayed"
            for number, (key, its) in enumerate(zip(one.items(), other.items(), strict=True)):
                if not same_atom(key[0], its[0]):
                    todo.append((f"{path}.key{number}", key[0], its[0]))
                if not same_atom(key[1], its[1]):
                    todo.append((f"{path}[{key[0]!r}]", key[1], its[1]))
        elif isinstance(one, list | tuple | deque):
            assert len(one) == len(other), f"{path}: {one!r} lived, {other!r} replayed"
            for number, (item, its) in enumerate(zip(one, other, strict=True)):
                if not same_atom(item, its):
                    todo.append((f"{path}[{number}]", item, its))
        elif isinstance(one, set | frozenset):
            assert one == other, f"{path}: {one!r} lived, {other!r} replayed"
        else:
            for name in fields(one):
                if name in BY_VALUE and isinstance(one, msgspec.Struct):
                    assert getattr(one, name) == getattr(other, name), f"{path}.{name}"
                    continue
                item, its = getattr(one, name, MISSING), getattr(other, name, MISSING)
                assert (item is MISSING) == (its is MISSING), f"{path}.{name} is missing in one"
                if not same_atom(item, its):
                    todo.append((f"{path}.{name}", item, its))


def same_atom(one: Any, other: Any) -> bool:
    """Whether two are the same thing, or equal ones of a simple type; most of what is compared is."""
    kind = type(one)
    return one is other or (kind in ATOMS and kind is type(other) and one == other)


def fields(thing: Any) -> Iterable[str]:
    """Names of what an object consists of."""
    slots = slots_of(type(thing))
    more = getattr(thing, "__dict__", None)
    assert slots or more or type(thing).__slots__ == (), f"what is a {type(thing).__name__} made of?"
    return [*slots, *(name for name in more if name not in UNIMPORTANT)] if more else slots


@cache
def slots_of(kind: type) -> tuple[str, ...]:
    """Names of the slots of a class, or of its fields if it is a Struct."""
    if issubclass(kind, msgspec.Struct):
        return tuple(kind.__struct_fields__)
    found = [name for each in kind.__mro__ for name in getattr(each, "__slots__", ())]
    return tuple(name for name in found if name not in UNIMPORTANT)


def compare_channels(lived: Channel[Any], replayed: Channel[Any], had: int) -> None:
    """A replayed one may have cut its packets elsewhere, so that they are kept for longer or not as long (`had`: what
    the peer has had); bare acknowledgements have no records either."""
    assert lived.received == replayed.received
    assert lived._sent == replayed._sent
    kept, theirs = kept_messages(lived), kept_messages(replayed)
    assert all(theirs[number] == message for number, message in kept.items() if number in theirs or number > had)
    assert all(number in theirs for number in range(had + 1, lived._sent + 1))


def kept_messages(channel: Channel[Any]) -> dict[int, bytes]:
    """By their numbers, the messages that the peer may not have had."""
    packets = [PACKET.decode(packet) for packet in channel.unacknowledged()]
    return {first + number: bytes(raw) for first, _, messages in packets for number, raw in enumerate(messages)}
