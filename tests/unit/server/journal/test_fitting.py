"""Images that another version of Rain wrote: what is new gets its default, what is gone is named or migrated."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec
import pytest

from rain.server.journal.images.dumping import dump
from rain.server.journal.images.fitting import Migration
from rain.server.journal.images.loading import load
from rain.server.journal.images.types import Codec, ImageError


class Old:
    """The classes of one version."""

    class Colour(enum.Enum):
        RED = "red"
        BLUE = "blue"

    class Node:
        __slots__ = ("colour", "name", "next")

        def __init__(self, name: str, next: Any = None) -> None:
            self.name, self.next, self.colour = name, next, Old.Colour.BLUE

    class Spec(msgspec.Struct):
        name: str

    class Point(NamedTuple):
        x: int


class New:
    """Those of the next one."""

    class Colour(enum.Enum):
        GREEN = "green"
        BLUE = "blue"
        RED = "red"

    class Node:
        __slots__ = ("colour", "name", "next", "notes", "priority")

        def __init__(self, name: str, next: Any = None, priority: int = 7) -> None:
            self.name, self.next, self.priority = name, next, priority
            self.colour, self.notes = New.Colour.GREEN, list[str]()

    class Spec(msgspec.Struct):
        name: str
        more: dict[str, int] = {}
        kind: str = "plain"

    class Point(NamedTuple):
        x: int
        y: int = 4


NAMES = ("Colour", "Node", "Spec", "Point")


def codec(version: type, **changes: Any) -> Codec:
    return Codec([changes.pop(name, getattr(version, name)) for name in NAMES], **changes)


def image() -> bytes:
    first = Old.Node("first")
    second = Old.Node("second", first)
    first.next = second
    del second.colour
    return dump(codec(Old), [first, second, Old.Spec("a"), Old.Point(3), Old.Colour.RED])


def test_new_fields_get_their_defaults_and_all_else_stays() -> None:
    first, second, spec, point, colour = load(codec(New, added={(New.Node, "notes"): list}), image())
    assert (first.name, first.next, second.next) == ("first", second, first)
    assert first.colour is New.Colour.BLUE
    assert not hasattr(second, "colour"), "an attribute without a value stays without"
    assert (first.priority, second.priority) == (7, 7)
    assert first.notes == []
    assert first.notes is not second.notes
    assert spec == New.Spec("a", {}, "plain")
    assert point == New.Point(3, 4)
    assert colour is New.Colour.RED, "by its name, wherever it stands now"


def test_a_new_field_without_a_default_is_named() -> None:
    with pytest.raises(ImageError, match="a Node has notes in this version of Rain and not in the image, and no defau"):
        load(codec(New), image())


def node(*slots: str) -> type:
    return type("Node", (), {"__slots__": slots})


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"Node": node("colour", "next")}, "a Node has name in the image, which it does not have in this"),
        ({"Colour": enum.Enum("Colour", {"BLUE": "blue"})}, "a Colour can be RED in the image, and not in this vers"),
        ({"Spec": msgspec.defstruct("Spec", [("kind", str)])}, "a Spec has name in the image, which it does not"),
        ({"Point": NamedTuple("Point", [("y", int)])}, "a Point has x in the image, which it does not have in this"),
    ],
    ids=["record", "enum", "struct", "tuple"],
)
def test_what_this_version_does_not_have_is_refused_by_name(change: dict[str, type], error: str) -> None:
    with pytest.raises(ImageError, match=error):
        load(codec(Old, **change), image())


def test_constants_that_were_added_do_not_move_what_is_in_the_image() -> None:
    empty, other = (), ("other",)
    before = dump(codec(Old, constants=[empty]), [empty, ("mine",)])
    assert load(codec(Old, constants=[empty, other]), before) == [empty, ("mine",)]
    with pytest.raises(ImageError, match="tuple has 0 constants in this version of Rain, and had 1"):
        load(codec(Old), before)


def upper(columns: Any) -> dict[str, list[Any]]:
    return {"label": [name.upper() for name in columns["name"]]}


def dropped(columns: Any) -> dict[str, list[Any]]:
    return {}


@pytest.mark.parametrize("also", [(), (Migration("Node", ("size",), ("other",), dropped),)], ids=["alone", "beside"])
def test_a_migration_says_what_becomes_of_fields(also: tuple[Migration, ...]) -> None:
    changed = node("label", "next")
    steps = (Migration("Node", ("name",), ("label",), upper), Migration("Node", ("colour",), (), dropped), *also)
    first, second, *_ = load(codec(Old, Node=changed, migrations=steps), image())
    assert (first.label, second.label, first.next, second.next) == ("FIRST", "SECOND", second, first)


def test_migrations_follow_each_other_and_keep_what_has_no_value() -> None:
    def moved(before: str, after: str) -> Callable[[Any], dict[str, list[Any]]]:
        return lambda columns: {after: columns[before]}

    steps = [
        Migration("Node", ("colour",), ("paint",), moved("colour", "paint")),
        Migration("Node", ("paint",), ("hue",), moved("paint", "hue")),
    ]
    first, second, *_ = load(codec(Old, Node=node("hue", "name", "next"), migrations=steps), image())
    assert first.hue is Old.Colour.BLUE
    assert not hasattr(second, "hue")
