"""Images of graphs of objects: all that a state is made of comes back, with what it shares, in the same order."""

from __future__ import annotations

import enum
import subprocess
import sys
from collections import deque
from typing import Any, NamedTuple

import msgspec
import pytest

from rain.common.ids import ID
from rain.server.check import check
from rain.server.core import ServerCore
from rain.server.journal.images.dumping import dump
from rain.server.journal.images.loading import load
from rain.server.journal.images.types import Codec, Conversion, ImageError
from rain.server.journal.state_classes import codec as state_codec
from tests.unit.server.rig import Rig


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Point(NamedTuple):
    x: int
    y: int


class Spec(msgspec.Struct, frozen=True):
    name: str
    at: Point
    more: Any = None
    parts: list[Any] = []


class ByName(msgspec.Struct, kw_only=True):
    one: int
    two: int = 2


class Node:
    __slots__ = ("colour", "next", "spec", "value")

    def __init__(self, value: Any = None, next: Node | None = None) -> None:
        self.value = value
        self.next = next
        self.colour = Colour.RED
        self.spec: Spec | None = None


class Stranger:
    pass


CODEC = Codec([ID, Colour, Point, Spec, ByName, Node])


def again(root: Any, codec: Codec = CODEC) -> Any:
    """What an image of it makes; the image of that is the same."""
    image = dump(codec, root)
    made = load(codec, image)
    assert dump(codec, made) == image
    return made


VALUES = [
    None,
    [True, False, 0, 1, -1, 1.0, -0.0, float("inf"), 1 << 62, -(1 << 63), (1 << 64) - 1],
    [1 << 64, -(1 << 64), 1 << 200, None, 3],
    [1 << 70, "text", None, 2.5, True],
    ["", "text", "caf\udce9", "\0", "日本", b"", b"bytes", b"\xff"],
    [(), (1,), (1, "a", None), ((1, 2), ((3,), 4)), frozenset(), frozenset({3, 1, 2}), frozenset({(1, "a"), (0, "b")})],
    [{}, {1: 2, "b": [3], (4, None): {5: 6}, Colour.RED: Colour.BLUE}, {"z": 1, "a": 2}],
    [
        set(),
        {3, 1, 2},
        {("a", None, 1), ("a", ID(1, 2), 1)},
        deque(),
        deque([1, [2]]),
        bytearray(b"bytes"),
        bytearray(),
    ],
    [
        Colour.RED,
        None,
        Colour.BLUE,
        Point(1, 2),
        ID(3, 4),
        Spec("a", Point(5, 6), {"b": [1, {"c": b"d"}]}, [Point(7, 8)]),
    ],
    [ByName(one=1), ByName(one=3, two=4)],
    [[[[[[]]]]], [[]], []],
]


def shown(value: Any) -> str:
    """A value with its types, and all order but that of sets, which depends on hashes."""
    if isinstance(value, (set, frozenset)):
        return f"{type(value).__name__} {sorted(map(shown, value))}"
    if isinstance(value, dict):
        return f"dict {[(shown(key), shown(item)) for key, item in value.items()]}"
    if isinstance(value, (list, tuple, deque)):
        return f"{type(value).__name__} {list(map(shown, value))}"
    return repr(value)


@pytest.mark.parametrize("value", VALUES, ids=range(len(VALUES)))
def test_values_come_back(value: Any) -> None:
    made = again([value])[0]
    assert made == value
    assert shown(made) == shown(value)  # the types too, and the order
    assert again(value) == value


def test_one_object_stays_one() -> None:
    shared, words, point = Node("shared"), ["a"], Point(1, 2)
    both = (point, words)
    spec = Spec("s", point, None, words)
    root = {"first": [shared, words, point, both, spec], "second": (shared, words, point, both, spec, list(words))}
    made = again(root)
    for first, second in zip(made["first"], made["second"], strict=False):
        assert first is second
    assert made["second"][-1] is not made["first"][1]
    assert made["first"][4].at is made["first"][2]
    assert made["first"][4].parts is made["first"][1]


def test_cycles() -> None:
    node = Node()
    node.next, node.value = node, {"back": [node], "key": {node: None}}
    made = again(node)
    assert made.next is made
    assert made.value["back"][0] is made
    assert list(made.value["key"]) == [made]


def test_a_tuple_met_beside_one_that_it_stands_in() -> None:
    inner = (1, 2)
    outer = (inner, 3)
    made = again([outer, inner, ((inner,), outer)])
    assert made == [outer, inner, ((inner,), outer)]
    assert made[0][0] is made[1] is made[2][0][0]
    assert made[2][1] is made[0]


def test_a_chain_longer_than_the_stack() -> None:
    first = None
    for number in range(3000):
        first = Node(number, first)
    made = again(first)
    for number in reversed(range(3000)):
        assert made.value == number
        made = made.next
    assert made is None


def test_an_attribute_without_a_value_stays_without() -> None:
    nodes = [Node(1), Node(2), Node(3)]
    del nodes[1].value
    made = again(nodes)
    assert [getattr(node, "value", "none") for node in made] == [1, "none", 3]


def test_what_is_left_out_and_what_is_written_in_the_place_of_something() -> None:
    codec = Codec(
        [Node, Colour],
        left_out={Node: {"spec"}},
        converted={(Node, "value"): Conversion(lambda call: call(), lambda number: lambda: number + 1)},
    )
    node = Node(lambda: 3)
    made = load(codec, dump(codec, node))
    assert made.value() == 4
    assert not hasattr(made, "spec")


def test_constants_of_modules_are_themselves_again() -> None:
    none: list[int] = []
    codec = Codec([], constants=[none])
    made = load(codec, dump(codec, {"a": none, "b": []}))
    assert made["a"] is none
    assert made["b"] is not none


@pytest.mark.parametrize(
    ("where", "root"),
    [
        ("root", Stranger()),
        ("root.next.value['a'][2]", Node(1, Node({"a": [1, 2, Stranger()]}))),
        ("root[0].parts[0]", [Spec("a", Point(1, 2), None, [Stranger()])]),
        ("root.value", Node(lambda: None)),
    ],
)
def test_an_object_of_another_class_is_named_with_its_place(where: str, root: Any) -> None:
    with pytest.raises(ImageError) as caught:
        dump(CODEC, root)
    assert str(caught.value).startswith(f"{where} is a ")
    assert "which no image may hold" in str(caught.value)


def test_a_set_of_records_has_no_order() -> None:
    with pytest.raises(ImageError, match="a set of Node has no order that stays"):
        dump(CODEC, [{Node(), Node()}])


def test_what_is_not_an_image_is_refused() -> None:
    image = dump(CODEC, [Node("value", Node(Colour.RED)), Spec("a", Point(1, 2))])
    for end in range(len(image)):
        with pytest.raises(ImageError):
            load(CODEC, image[:end])
    with pytest.raises(ImageError):
        load(CODEC, b"")


def test_an_image_of_classes_that_changed_is_refused_by_name() -> None:
    image = dump(CODEC, Node())
    with pytest.raises(ImageError, match="objects of the class Node, which this version of Rain does not have"):
        load(Codec([Colour]), image)
    other = type("Node", (), {"__slots__": ("colour", "next", "value")})
    with pytest.raises(ImageError, match="a Node has spec in the image, which it does not have in this version"):
        load(Codec([Colour, other]), image)


def test_the_image_is_the_same_whatever_hashes_are() -> None:
    code = (
        "import hashlib; from tests.unit.server.journal.test_images import *\n"
        "rig = Rig(); rig.governor(); rig.graph('a -> b c -> d; e[cpus=3]', keep='d'); rig.turn()\n"
        "print(hashlib.sha1(dump(state_codec(), rig.core.state) + dump(CODEC, VALUES)).hexdigest())"
    )
    digests = set()
    for seed in ("0", "1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": "."},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        digests.add(done.stdout)
    assert len(digests) == 1


def test_a_server_of_an_image_goes_on() -> None:
    rig = Rig(persistent=True)
    rig.governor("g1", cpus=2.0)
    first, second, third, fourth = rig.graph("first -> second; third[priority=5]; fourth", keep="second")
    rig.turn()
    rig.start(first)
    image = dump(state_codec(), rig.core.state)
    made = ServerCore("server:1", "server-host", policy=type(rig.core.state.policy))
    state = load(state_codec(), image)
    state.make_policy = rig.core.state.make_policy
    made.state = state
    rig.core = made
    check(rig.core)
    rig.finish(first, third)
    rig.turn()
    rig.start(second)
    rig.fail(second)
    assert [rig.state(task) for task in (first, second, third, fourth)] == ["finished", "failed", "finished", "ready"]
