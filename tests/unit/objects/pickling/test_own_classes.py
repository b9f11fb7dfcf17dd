"""A class that this process defined is not changed by a pickle that brings it back."""

from __future__ import annotations

import enum
import subprocess
import sys
from typing import Any

from rain.objects.pickling import buffers
from rain.objects.pickling.own_classes import loads

THERE = """
import sys
from rain.objects.pickling import buffers
value = buffers.load(sys.stdin.buffer.read())
type(value).count = 7
value.x += 1
sys.stdout.buffer.write(buffers.dumps(value, cloud=True))
"""


def defined() -> Any:
    """A class that can only be pickled by value."""

    class Point:
        count = 0

        def __init__(self, x: int) -> None:
            self.x = x

        def told(self) -> int:
            return self.x

    return Point


def there_and_back(value: Any) -> Any:
    data = buffers.dumps(value, cloud=True)
    return buffers.load(subprocess.run([sys.executable, "-c", THERE], input=data, stdout=-1, check=True).stdout)


def test_an_instance_comes_back_to_its_class_which_stays_as_it_is() -> None:
    kind = defined()
    buffers.dumps(kind(3), cloud=True)  # pickling itself leaves a note in the class
    before = dict(vars(kind))
    found = there_and_back(kind(3))
    assert type(found) is kind
    assert found.x == 4
    assert dict(vars(kind)) == before


def test_what_changed_since_stays_changed() -> None:
    kind = defined()
    data = buffers.dumps(kind(1), cloud=True)
    kind.count = 2
    assert loads(data).count == 2


def test_members_of_an_enumeration_are_the_same_ones() -> None:
    class Colour(enum.Enum):
        RED = 1

    assert loads(buffers.dumps([Colour.RED], cloud=True)) == [Colour.RED]
    assert Colour.RED.name == "RED"


def test_a_class_that_came_by_a_pickle_is_as_the_last_one_says() -> None:
    from cloudpickle import cloudpickle

    kind = defined()
    first = buffers.dumps(kind(1), cloud=True)
    kind.count = 2
    second = buffers.dumps(kind(2), cloud=True)
    id = cloudpickle._DYNAMIC_CLASS_TRACKER_BY_CLASS.pop(kind)
    del cloudpickle._DYNAMIC_CLASS_TRACKER_BY_ID[id]  # as in a process that does not know it
    came = loads(first)
    assert type(came) is not kind
    assert (came.told(), came.count) == (1, 0)
    assert type(loads(second)) is type(came)
    assert came.count == 2


def test_large_arrays_beside_such_instances_are_still_mapped() -> None:
    import numpy as np

    data = buffers.dumps([defined()(1), np.zeros(100_000)], cloud=True)
    assert buffers.large_buffers(data) == 1
    point, array = buffers.load(data)
    assert (point.x, array.base is not None) == (1, True)
